"""The cases of the bits matrix: what each covers, and the same without it where that makes a difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import matrix_models as models
from keras import losses, optimizers
from matrix import Case
from matrix_parts import (
    ADAM,
    AVERAGING,
    MOMENTUM,
    PLAIN,
    NeverReset,
    adam,
    binary_crossentropy,
    both,
    crossentropy,
    decaying,
    digits,
    none,
    one_hot_crossentropy,
    scaled_adam,
    scaled_averaging_adam,
    several,
    sgd,
    stateful_metrics,
    table,
    tokens,
    unlabelled,
    weighted_table,
)

from kerasx.builtins.losses import SumSquaredError

# A rate that drops nothing, with a stream all the same: those of the layers after it stay as they are.
NEVER = 1e-9


def of_digits(covers: str, build: Callable[[], Any], **fields: Any) -> Case:
    given = {"loss": crossentropy, "optimizer": MOMENTUM, **fields}
    return Case(covers, build, digits, **given)


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
        rows=weighted_table,
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
        rows=partial(tokens, temporal=True),
        optimizer=adam(),
        without=(
            {"build": partial(models.masked, "lstm", temporal=True, mask_zero=False)},
            {"rows": lambda: tokens(temporal=True)[:2]},
        ),
    ),
    "masked-gru": of_table(
        "masks into a layer that returns one step",
        partial(models.masked, "gru"),
        rows=tokens,
        optimizer=adam(),
        without={"build": partial(models.masked, "gru", mask_zero=False)},
    ),
    "regularized": of_table(
        "kernel, bias and activity regularizers",
        partial(models.regularized, penalty=0.0),
        without=tuple(
            {"build": partial(models.regularized, penalty=0.0, **{part: 0.0})}
            for part in ("kernel", "bias", "activity")
        ),
    ),
    "added-loss": of_table(
        "add_loss of a layer",
        partial(models.regularized, 0.0, 0.0, 0.0),
        without={"build": partial(models.regularized, 0.0, 0.0, 0.0, 0.0)},
    ),
    "unlabelled": of_table(
        "no labels and no loss but add_loss",
        models.autoencoder,
        rows=unlabelled,
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
        without={"loss_weights": None},
    ),
    "several-tuples": several_case(
        "tuples of inputs, outputs and losses, with loss weights of a compiled model",
        "tuples",
        loss_weights=(2.0, 0.5),
        arrives_compiled=True,
        without=({"loss": lambda: (crossentropy(), losses.MeanAbsoluteError())}, {"loss_weights": None}),
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
        without=({"rows": partial(several, "dicts")}, {"loss_weights": None}, {"weighted_metrics": none}),
    ),
    "several-one-loss": several_case(
        "an output without a loss",
        "dicts",
        loss=lambda: {"kind": crossentropy(), "size": None},
        without={"loss": both("dicts")},
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
        without=tuple(
            {"build": partial(models.noisy, **{part: NEVER})}
            for part in ("first", "second", "channels", "noise")
        ),
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
        without=({"optimizer": adam()}, {"precision": None}),
    ),
    "scaled-averaging-adam": of_table(
        "a LossScaleOptimizer around EMA and gradient accumulation",
        optimizer=scaled_averaging_adam,
        precision="mixed_float16",
        without={"optimizer": scaled_adam},
    ),
    "unscaled": of_digits(
        "mixed_float16 of a model that was compiled with auto_scale_loss=False",
        models.mlp,
        loss=SumSquaredError,
        optimizer={**PLAIN, "learning_rate": 200.0},
        # So small a loss that half precision loses gradients which are not scaled.
        loss_weights=1e-4,
        precision="mixed_float16",
        arrives_compiled=True,
        compile_options={"auto_scale_loss": False},
        without={"compile_options": {}},
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
        "MaxNorm and NonNeg",
        models.constrained,
        without=tuple({"build": partial(models.constrained, **{part: False})} for part in ("kernel", "bias")),
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
        "own metrics property, a model that arrives compiled, with a compute_loss that updates them",
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
        without=tuple({"build": partial(models.frozen, **{part: False})} for part in ("hidden", "norm")),
    ),
    "layer-metric": of_table(
        "a metric of a layer",
        models.measured,
        optimizer=sgd(learning_rate=0.05),
        without={"build": models.dense},
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
        without=tuple({"build": partial(models.augmented, **{part: 0.0})} for part in ("by", "turn")),
    ),
}
CASES["several-compiled"] = replace(
    CASES["several-weighted"],
    covers="the same of a model that arrives compiled",
    optimizer=adam(),
    arrives_compiled=True,
)
