"""Metrics of a model's own, of which Keras's step knows nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from kerasx.training.steps import overrides


def own_metrics(model: keras.Model) -> tuple[str, ...]:
    """The names under which a model that brings a step measures more than Keras would.

    What it calls `loss` is its mean of the loss, in the place of Keras's.
    """
    kept = {metric.name for metric in _keras_metrics(model)}
    return tuple(sorted({metric.name for metric in _own(model)} - kept))


@contextlib.contextmanager
def without_own_metrics(model: keras.Model) -> Iterator[None]:
    """Have a model report what Keras's step updates, also where it overrides `metrics`."""
    own = _own(model)
    if not own:
        yield
        return
    kind = type(model)
    kept = _keras_metrics(model)
    # Where Keras looks for them; an instance cannot override a property.
    model.__class__ = type(kind.__name__, (kind,), {"metrics": property(lambda self: list(kept))})
    try:
        yield
    finally:
        model.__class__ = kind


def _keras_metrics(model: keras.Model) -> list[Any]:
    own = {id(metric) for metric in _own(model)}
    return [metric for metric in _found_by_keras(model) if id(metric) not in own]


def _own(model: keras.Model) -> list[Any]:
    """Attributes that are metrics, and what else its property `metrics` has."""
    if not (overrides(model, "train_step") or overrides(model, "test_step")):
        return []
    found = {id(metric) for metric in _found_by_keras(model)}
    attributes = [
        value
        for name, value in vars(model).items()
        if isinstance(value, keras.metrics.Metric) and not name.startswith("_")
    ]
    return [*attributes, *(metric for metric in model.metrics if id(metric) not in found)]


def _found_by_keras(model: keras.Model) -> list[Any]:
    return list(keras.Model.metrics.fget(model))
