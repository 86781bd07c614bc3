"""The rows, losses, optimizers and metrics of the bits matrix, made anew wherever they hold state."""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from kerasx.startup import start_tensorflow

start_tensorflow()

from keras import losses, metrics, optimizers  # noqa: E402
from kerasx_mnist.data import read_idx  # noqa: E402

# The largest number of rows that a case trains on, and on how many it is validated.
TRAINING, VALIDATION = 128, 38
POOL = TRAINING + VALIDATION
CLASSES = 3


# --- Rows: `(x,)`, `(x, y)` or `(x, y, sample_weight)`, each an array or a structure of arrays ------------


@functools.cache
def digits() -> tuple[Any, ...]:
    x = read_idx("train-images-idx3-ubyte")[:POOL, ::2, ::2].astype("float32") / 255
    return x, read_idx("train-labels-idx1-ubyte")[:POOL].astype("int64")


@functools.cache
def table(labels: str = "numbers") -> tuple[Any, ...]:
    random = np.random.RandomState(7)
    x = random.normal(size=(POOL, 8)).astype("float32")
    numbers = (x[:, :CLASSES] + 0.3 * random.normal(size=(POOL, CLASSES))).argmax(axis=1)
    forms = {
        "numbers": numbers,
        "one-hot": np.eye(CLASSES, dtype="float32")[numbers],
        "int column": numbers[:, None].astype("int32"),
        "float column": (numbers > 0).astype("float32")[:, None],
    }
    return x, forms[labels]


def weighted_table() -> tuple[Any, ...]:
    """Some rows weigh nothing, some twice as much as others."""
    return *table(), np.linspace(0, 2, POOL).astype("float32")


def unlabelled() -> tuple[Any, ...]:
    return (table()[0],)


@functools.cache
def tokens(temporal: bool = False) -> tuple[Any, ...]:
    """Sequences of 1 to 6 tokens, filled up with zeros; with a label and a weight for each, or for all."""
    random = np.random.RandomState(8)
    x = random.randint(1, 9, size=(POOL, 6))
    x[np.arange(6) >= random.randint(1, 7, size=POOL)[:, None]] = 0
    if temporal:
        return x, x % CLASSES, random.uniform(0, 2, size=x.shape).astype("float32")
    return x, x[:, 0] % CLASSES


@functools.cache
def several(form: str, weighted: bool = False) -> tuple[Any, ...]:
    """Two inputs and two outputs, in lists, tuples or dictionaries."""
    x, kind = table()
    parts: list[Any] = [[x[:, :4], x[:, 4:]], [kind, x[:, :2] * x[:, 4:6]]]
    if weighted:
        parts.append([np.linspace(0, 2, POOL).astype("float32"), np.linspace(1, 0, POOL).astype("float32")])
    if form == "dicts":
        keys = [("left", "right"), ("kind", "size"), ("kind", "size")]
        return tuple(dict(zip(names, part, strict=True)) for names, part in zip(keys, parts, strict=False))
    return tuple(tuple(part) if form == "tuples" else part for part in parts)


# --- Losses, optimizers and metrics ------------------------------------------------------------------------

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


def scaled_averaging_adam() -> optimizers.Optimizer:
    inner = optimizers.Adam(0.02, use_ema=True, ema_momentum=0.5, gradient_accumulation_steps=3)
    return optimizers.LossScaleOptimizer(inner, initial_scale=2.0**20, dynamic_growth_steps=2)


def decaying() -> optimizers.Optimizer:
    return optimizers.SGD(optimizers.schedules.ExponentialDecay(0.2, decay_steps=2, decay_rate=0.5))


class NeverReset(metrics.Precision):
    """What a metric would be if nobody reset it between epochs."""

    def reset_state(self) -> None:
        pass


def stateful_metrics(precision: type[metrics.Precision] = metrics.Precision) -> list[Any]:
    return [metrics.AUC(from_logits=True, name="area"), precision(thresholds=0.4, name="precision")]
