"""The cases of the bits matrix: what each covers, and the same without it where that makes a difference."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import matrix_models as models
from keras import losses, metrics, optimizers
from matrix import Case
from matrix_models import several, table

from kerasx.builtins.losses import SumSquaredError

MOMENTUM = {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9}
ADAM = {"name": "adam", "learning_rate": 0.01}
AVERAGING = {"name": "sgd", "learning_rate": 0.05, "use_ema": True, "ema_momentum": 0.9}
PLAIN = {"name": "sgd", "learning_rate": 0.01}


def crossentropy() -> losses.Loss:
    return losses.SparseCategoricalCrossentropy(from_logits=True)


def one_hot_crossentropy() -> losses.Loss:
    return losses.CategoricalCrossentropy(from_logits=True)


def binary_crossentropy() -> losses.Loss:
    return losses.BinaryCrossentropy(from_logits=True)


def none() -> None:
    return None


def both(form: str) -> Callable[[], Any]:
    """A loss for each of the two outputs."""

    def made() -> Any:
        if form == "dicts":
            return {"kind": crossentropy(), "size": losses.Huber()}
        return [crossentropy(), losses.Huber()] if form == "lists" else (crossentropy(), losses.Huber())

    return made


def sgd(**options: Any) -> Callable[[], Any]:
    return partial(optimizers.SGD, **{"learning_rate": 0.1, **options})


def adam(**options: Any) -> Callable[[], Any]:
    return partial(optimizers.Adam, **{"learning_rate": 0.02, **options})


def scaled_adam() -> optimizers.Optimizer:
    """Starts with a scale under which gradients overflow, so that it skips steps and finds another."""
    return optimizers.LossScaleOptimizer(optimizers.Adam(0.02), initial_scale=2.0**20, dynamic_growth_steps=2)


def decaying() -> optimizers.Optimizer:
    return optimizers.SGD(optimizers.schedules.ExponentialDecay(0.2, decay_steps=2, decay_rate=0.5))


class NeverReset(metrics.Precision):
    """What a metric would be if nobody reset it between epochs."""

    def reset_state(self) -> None:
        pass


def stateful_metrics(precision: type[metrics.Precision] = metrics.Precision) -> list[Any]:
    return [metrics.AUC(from_logits=True, name="area"), precision(thresholds=0.4, name="precision")]


def of_digits(covers: str, build: Callable[[], Any], **fields: Any) -> Case:
    given = {"loss": crossentropy, "optimizer": MOMENTUM, **fields}
    return Case(covers, build, models.digits, **given)


def of_table(covers: str, build: Callable[[], Any] = models.dense, **fields: Any) -> Case:
    return Case(covers, build, **{"rows": table, "loss": crossentropy, "optimizer": sgd(), **fields})


def clipped(**option: float) -> Case:
    return of_table(next(iter(option)), optimizer=sgd(**option), without={"optimizer": sgd()})


def several_case(covers: str, form: str, weighted: bool = False, **fields: Any) -> Case:
    return of_table(
        covers,
        partial(models.several_outputs, form),
        **{"rows": partial(several, form, weighted), "loss": both(form), "metrics": none, **fields},
    )


CASES: dict[str, Case] = {
    "mlp": of_digits("the article's loss", models.mlp, loss=SumSquaredError, optimizer=PLAIN, short_jit=True),
    "dropout": of_digits(
        "a dropout stream", models.dropout, optimizer=ADAM, without={"build": partial(models.dropout, 0.0)}
    ),
    "convolution": of_digits(
        "BatchNormalization", models.convolution, without={"build": partial(models.convolution, 0.5)}
    ),
    "lstm": of_digits("a recurrent layer", models.lstm),
    "subclassed": of_digits(
        "subclassed, unbuilt, a regularizer",
        models.Subclassed,
        without={"build": partial(models.Subclassed, 0.0)},
    ),
    "own-step": of_digits(
        "own train_step, subclassed", models.own_step, without={"build": models.Subclassed}
    ),
    "averaged-weights": of_digits(
        "EMA and its final copy",
        models.mlp,
        optimizer=AVERAGING,
        without={"optimizer": sgd(learning_rate=0.05)},
    ),
    "loss-scaling": of_digits(
        "mixed_float16, scaled by default",
        models.mlp,
        loss=SumSquaredError,
        optimizer=PLAIN,
        precision="mixed_float16",
        without={"precision": None},
    ),
    "sample-weights": of_table(
        "sample weights",
        rows=models.weighted_table,
        optimizer=sgd(learning_rate=0.2),
        without={"rows": table},
    ),
    "class-weights": of_table(
        "class weights for integer labels", class_weight={0: 0.2, 2: 3.0}, without={"class_weight": None}
    ),
    "class-weights-one-hot": of_table(
        "class weights for one-hot labels",
        rows=partial(table, "one-hot"),
        loss=one_hot_crossentropy,
        optimizer=adam(),
        class_weight={0: 2.0, 1: 0.5, 2: 0.0},
        without={"class_weight": None},
    ),
    "masked-lstm": of_table(
        "masks, and temporal sample weights beside them",
        partial(models.masked, "lstm", temporal=True),
        rows=partial(models.tokens, temporal=True),
        optimizer=adam(),
        without={"build": partial(models.masked, "lstm", temporal=True, mask_zero=False)},
    ),
    "masked-gru": of_table(
        "masks into a layer that returns one step",
        partial(models.masked, "gru"),
        rows=models.tokens,
        optimizer=adam(),
        without={"build": partial(models.masked, "gru", mask_zero=False)},
    ),
    "regularized": of_table(
        "kernel, bias and activity regularizers",
        partial(models.regularized, penalty=0.0),
        without={"build": partial(models.regularized, 0.0, 0.0, 0.0)},
    ),
    "added-loss": of_table(
        "add_loss of a layer",
        partial(models.regularized, 0.0, 0.0),
        without={"build": partial(models.regularized, 0.0, 0.0, 0.0)},
    ),
    "unlabelled": of_table(
        "no labels and no loss but add_loss",
        models.autoencoder,
        rows=models.unlabelled,
        loss=none,
        metrics=none,
        optimizer=adam(),
        arrives_compiled=True,
    ),
    "several-lists": several_case(
        "lists of inputs, outputs, losses, loss weights and metrics per output",
        "lists",
        loss_weights=[0.3, 2.0],
        metrics=lambda: [["accuracy"], ["mae", "mse"]],
        arrives_compiled=True,
        without={"loss_weights": None},
    ),
    "several-tuples": several_case(
        "tuples of inputs, outputs and losses",
        "tuples",
        without={"loss": lambda: (crossentropy(), losses.MeanAbsoluteError())},
    ),
    "several-dicts": several_case(
        "dictionaries of inputs, outputs and losses",
        "dicts",
        optimizer=adam(),
        without={"loss": lambda: {"kind": crossentropy(), "size": losses.MeanAbsoluteError()}},
    ),
    "several-weighted": several_case(
        "dictionaries of loss weights, weighted metrics and sample weights per output",
        "dicts",
        weighted=True,
        loss_weights={"kind": 0.3, "size": 2.0},
        metrics=lambda: {"kind": ["accuracy"], "size": ["mae"]},
        weighted_metrics=lambda: {"kind": ["accuracy"], "size": ["mae"]},
        arrives_compiled=True,
        without={"rows": partial(several, "dicts")},
    ),
    "stateful": of_table(
        "a stateful layer, which starts a batch where the one before ended",
        models.stateful,
        optimizer=adam(),
        constant=True,
        without={"build": partial(models.stateful, keeps=False)},
    ),
    "noise": of_table(
        "two dropout layers, SpatialDropout and GaussianNoise",
        models.noisy,
        optimizer=adam(),
        without={"build": partial(models.noisy, 0.0, 0.0, 0.0, 0.0)},
    ),
    "unseeded": of_table(
        "Keras's own random stream",
        models.unseeded,
        optimizer=adam(),
        without={"build": partial(models.unseeded, 0.0)},
    ),
    "scaled-adam": of_table(
        "mixed_float16 with a LossScaleOptimizer of its own that skips steps",
        optimizer=scaled_adam,
        precision="mixed_float16",
        without={"optimizer": adam()},
    ),
    "bfloat16": of_table(
        "mixed_bfloat16, whose numbers have eight bits",
        precision="mixed_bfloat16",
        drift=2e-3,
        without={"precision": None},
    ),
    "clipnorm": clipped(clipnorm=0.05),
    "global-clipnorm": clipped(global_clipnorm=0.1),
    "clipvalue": clipped(clipvalue=0.02),
    "ema-overwrite": of_table(
        "ema_overwrite_frequency",
        optimizer=sgd(use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3),
        without={"optimizer": sgd(use_ema=True, ema_momentum=0.5)},
    ),
    "weight-decay": of_table(
        "weight decay",
        optimizer=partial(optimizers.AdamW, 0.02, weight_decay=0.5),
        without={"optimizer": partial(optimizers.AdamW, 0.02, weight_decay=0.0)},
    ),
    "constraints": of_table(
        "MaxNorm and NonNeg", models.constrained, without={"build": partial(models.constrained, 100.0)}
    ),
    "accumulation": of_table(
        "gradient accumulation over epochs' ends, as 3 does not divide 4 batches",
        optimizer=adam(gradient_accumulation_steps=3),
        without={"optimizer": adam()},
    ),
    "schedule": of_table(
        "a learning-rate schedule", optimizer=decaying, without={"optimizer": sgd(learning_rate=0.2)}
    ),
    "stateful-metrics": of_table(
        "AUC and Precision, reset each epoch; a float column of labels",
        partial(models.dense, units=1),
        rows=partial(table, "float column"),
        loss=binary_crossentropy,
        metrics=stateful_metrics,
        without={"metrics": partial(stateful_metrics, NeverReset)},
    ),
    "one-hot-labels": of_table(
        "one-hot labels",
        rows=partial(table, "one-hot"),
        loss=one_hot_crossentropy,
        optimizer=sgd(learning_rate=0.3),
    ),
    "int-column-labels": of_table(
        "an integer column of labels", rows=partial(table, "int column"), optimizer=sgd(learning_rate=0.15)
    ),
    "unbuilt": of_table("an unbuilt Sequential", models.unbuilt, optimizer=sgd(learning_rate=0.25)),
    "nested": of_table(
        "a model in a model, a weight without a gradient, a call without `training`", models.nested
    ),
    "own-loss": of_table(
        "own compute_loss",
        partial(models.dense, model=models.OwnLoss),
        without={"build": partial(models.dense, model=models.OwnLossAsItWas)},
    ),
    "own-loss-as-it-was": of_table(
        "own compute_loss without `training`",
        partial(models.dense, model=models.OwnLossAsItWas),
        optimizer=adam(),
        without={"build": models.dense},
    ),
    "own-results": of_table(
        "own compute_metrics",
        partial(models.dense, model=models.OwnResults),
        optimizer=adam(learning_rate=0.03),
        without={"build": models.dense},
    ),
    "own-metrics": of_table(
        "own metrics property, with a compute_loss that updates them",
        partial(models.dense, model=models.OwnMetrics),
        rows=partial(table, "one-hot"),
        loss=none,
        metrics=none,
        arrives_compiled=True,
        without={"build": models.dense, "loss": losses.MeanSquaredError},
    ),
    "own-test-step": of_table(
        "own test_step",
        partial(models.dense, model=models.OwnTestStep),
        optimizer=adam(learning_rate=0.04),
        without={"build": models.dense},
    ),
    "frozen": of_table(
        "frozen layers",
        models.frozen,
        optimizer=adam(),
        without={"build": partial(models.frozen, trainable=True)},
    ),
    "flipped": of_digits(
        "augmentation that XLA compiles: RandomFlip",
        partial(models.augmented, moves=False),
        without={"build": partial(models.augmented, flips=False, moves=False)},
    ),
    "augmented": of_digits(
        "augmentation for which Keras leaves jit out: RandomTranslation, RandomRotation",
        models.augmented,
        keeps_jit=False,
        without={"build": partial(models.augmented, moves=False)},
    ),
}
