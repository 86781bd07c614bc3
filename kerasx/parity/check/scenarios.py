"""The scenarios: small trainings, each of which wakes what others leave asleep.

Each is one function that gives the fields of an experiment, in the order in which they are tried.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from kerasx.parity.check.ground import (
    FULL,
    SHORT,
    VALIDATION,
    Fields,
    Ground,
    NotApplicableError,
    hidden_layer,
)
from kerasx.parity.check.tasks import Task

Scenario = Callable[[Ground], Fields]


def plain(on: Ground) -> Fields:
    """loss, gradient, update and report of a dense model"""
    return on.fields()


def short_last_batch(on: Ground) -> Fields:
    """divisors, and means over batches"""
    return on.fields(dataset=(on.data(SHORT), on.data(VALIDATION + 4)))


def dropout_and_batch_normalization(on: Ground) -> Fields:
    """the training flag, state, random streams"""

    def hidden(x: Any) -> Any:
        x = layers.BatchNormalization(momentum=0.8)(layers.Dense(8)(x))
        return layers.Dropout(0.4, seed=1)(layers.Activation("relu")(x))

    return on.fields(model=on.model(hidden))


def regularizers_and_add_loss(on: Ground) -> Fields:
    """losses that layers add"""

    def hidden(x: Any) -> Any:
        x = layers.Dense(8, activation="tanh", kernel_regularizer=keras.regularizers.L2(0.05))(x)
        return layers.ActivityRegularization(l2=0.03)(x)

    return on.fields(model=on.model(hidden))


def sample_weights(on: Ground) -> Fields:
    """weights of rows"""
    return on.fields(dataset=tuple(_weighted(on.data(rows)) for rows in (FULL, VALIDATION)))


def class_weights(on: Ground) -> Fields:
    """weights of classes"""
    if not on.task.is_of_classes:
        raise NotApplicableError("class weights go by class numbers")
    return on.fields(class_weight={0: 3.0, 1: 0.5})


def masks(on: Ground) -> Fields:
    """padding, which a mask leaves out"""
    if on.own is not None:
        raise NotApplicableError("needs another architecture than the model's own")
    steps, words = 6, 12

    def build() -> keras.Model:
        inputs = keras.Input((steps,), dtype="int32", name="words")
        embedded = layers.Embedding(words, 6, mask_zero=True)(inputs)
        return on.make(inputs, on.task.head()(embedded))

    def rows(number: int) -> tuple[Any, Any]:
        rng = np.random.default_rng(number)
        x = rng.integers(1, words, (number, steps))
        x[np.arange(steps)[None] >= rng.integers(1, steps + 1, (number, 1))] = 0
        return x.astype("int32"), on.task.labels((number, steps), rng)

    return on.fields(model=build, dataset=(rows(FULL), rows(VALIDATION)))


def several_outputs(on: Ground) -> Fields:
    """losses of outputs, and their weights"""

    def heads(x: Any) -> Any:
        return {"first": on.task.head(name="first")(x), "second": on.task.head(name="second")(x)}

    def rows(number: int) -> tuple[Any, Any]:
        x, y = on.data(number)
        return x, {"first": y, "second": on.task.labels((number,), np.random.default_rng(number + 1))}

    return on.fields(
        model=on.model(hidden_layer, heads),
        dataset=(rows(FULL), rows(VALIDATION)),
        loss={"first": on.task.loss, "second": on.task.loss},
        loss_weights={"first": 1.0, "second": 0.3},
    )


def column_labels(on: Ground) -> Fields:
    """labels `[batch]` beside `[batch, 1]`, which broadcast"""
    if on.own is not None:
        raise NotApplicableError("the labels are the model's own")
    if on.task.is_of_classes:
        return on.fields(dataset=tuple((x, y[:, None]) for x, y in map(on.data, (FULL, VALIDATION))))
    if on.task.form == "one-hot":
        raise NotApplicableError("one-hot labels have one column for each class")
    dataset = tuple((x, y[:, 0]) for x, y in map(on.data, (FULL, VALIDATION)))
    return on.fields(model=on.model(hidden_layer, lambda x: on.task.head(1)(x)), dataset=dataset)


def one_hot_labels(on: Ground) -> Fields:
    """one-hot rows in place of class numbers"""
    if on.own is not None or not on.task.is_of_classes:
        raise NotApplicableError("the loss is not one of class numbers")
    task = Task("one-hot", {"name": "categorical_crossentropy", "from_logits": True})
    x, validation = on.data(FULL)[0], on.data(VALIDATION)[0]
    labels = [task.labels((len(rows),), np.random.default_rng(len(rows))) for rows in (x, validation)]
    return on.fields(
        model=on.model(hidden_layer, lambda x: task.head()(x)),
        dataset=((x, labels[0]), (validation, labels[1])),
        loss=task.loss,
    )


def mixed_precision(on: Ground) -> Fields:
    """float16, a scaled loss"""
    return on.fields(precision="mixed_float16")


def clipping(on: Ground) -> Fields:
    """gradients that the optimizer clips"""
    return on.fields(optimizer={"name": "sgd", "learning_rate": 0.05, "global_clipnorm": 0.05})


def decay_and_constraints(on: Ground) -> Fields:
    """weight decay, weights kept within a norm"""

    def hidden(x: Any) -> Any:
        return layers.Dense(8, activation="tanh", kernel_constraint=keras.constraints.MaxNorm(0.5))(x)

    return on.fields(
        model=None if on.own is not None else on.model(hidden),
        optimizer={"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.1},
    )


def averaged_weights(on: Ground) -> Fields:
    """averages that are copied in at the end"""
    optimizer = {"name": "sgd", "learning_rate": 0.05, "use_ema": True, "ema_momentum": 0.8}
    return on.fields(optimizer=optimizer)


def schedule_and_momentum(on: Ground) -> Fields:
    """a rate that falls with each update, momentum"""
    schedule = {"name": "ExponentialDecay", "initial_learning_rate": 0.1, "decay_steps": 1, "decay_rate": 0.7}
    return on.fields(optimizer={"name": "sgd", "momentum": 0.9}, learning_rate=schedule)


def accumulation(on: Ground) -> Fields:
    """an update with every second step"""
    optimizer = {"name": "sgd", "learning_rate": 0.05, "gradient_accumulation_steps": 2}
    return on.fields(optimizer=optimizer)


def frozen_layers(on: Ground) -> Fields:
    """a layer that is not trained"""

    def build() -> keras.Model:
        model: keras.Model = on.plain_model()()
        if on.own is not None:
            with_weights = [layer for layer in model.layers if layer.trainable_variables]
            if len(with_weights) < 2:
                raise NotApplicableError("the model has no two layers with weights")
            with_weights[0].trainable = False
        else:
            model.layers[1].trainable = False
        return model

    if on.own is not None:
        build()  # whether it can be done
    return on.fields(model=build)


def metrics_over_two_epochs(on: Ground) -> Fields:
    """a metric that is compiled in, by epoch"""
    metrics = () if on.own is not None else ({"name": "MeanSquaredError", "dtype": "float32"},)
    if on.task.is_of_classes:
        metrics = ({"name": "SparseCategoricalAccuracy"},)
    return on.fields(metrics=metrics, dataset=(on.data(SHORT), on.data(VALIDATION + 4)))


def validation(on: Ground) -> Fields:
    """evaluation: its flag, weights, short batch"""
    model = None

    def hidden(x: Any) -> Any:
        return layers.Dropout(0.4, seed=1)(layers.BatchNormalization(momentum=0.8)(layers.Dense(8)(x)))

    if on.own is None:
        model = on.model(hidden)
    return on.fields(model=model, dataset=(on.data(FULL), _weighted(on.data(VALIDATION + 4))))


def _weighted(rows: tuple[Any, Any]) -> tuple[Any, Any, Any]:
    x, y = rows
    count = len(keras.tree.flatten(x)[0])
    return x, y, np.random.default_rng(7).uniform(0.2, 3.0, count).astype("float32")


SCENARIOS: tuple[Scenario, ...] = (
    plain,
    short_last_batch,
    dropout_and_batch_normalization,
    regularizers_and_add_loss,
    sample_weights,
    class_weights,
    masks,
    several_outputs,
    column_labels,
    one_hot_labels,
    mixed_precision,
    clipping,
    decay_and_constraints,
    averaged_weights,
    schedule_and_momentum,
    accumulation,
    frozen_layers,
    metrics_over_two_epochs,
    validation,
)


def name_of(scenario: Scenario) -> str:
    """What a scenario is called."""
    return str(getattr(scenario, "__name__", scenario)).replace("_", "-")


def wakes(scenario: Scenario) -> str:
    """What a scenario is for, in one line."""
    return (scenario.__doc__ or "").strip()
