"""A sample of the comparisons that must not take rounding for a difference: all of them are in tests/soak."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from rounding import VARIED, false_alarms

import kerasx


@pytest.mark.parametrize(
    ("name", "seed", "way"),
    [("normalized", 1, 0)],
)
def test_rounding_is_not_taken_for_a_difference(name: str, seed: int, way: int) -> None:
    assert false_alarms(name, seed, VARIED[way]) == []


def moving(units: float, *, counted: float = 0.0) -> Any:
    """A step that moves the one weight by so many units in its last place on a batch that is marked.

    Or the outputs that its metrics are given.
    """

    def step(model: keras.Model, data: Any) -> Any:
        x, y = data
        y_pred = model(x, training=True)
        for metric in model.metrics:
            if metric.name == "loss":
                metric.update_state(model.compute_loss(x, y, y_pred), sample_weight=tf.shape(x)[0])
        weight = model.trainable_variables[0]
        is_marked = tf.cast(tf.reduce_max(y) > 0.5, weight.dtype)
        logs = model.compute_metrics(x, y, y_pred + is_marked * counted * 2.0**-23)
        model.optimizer.iterations.assign_add(1)
        weight.assign_add(is_marked * units * 2.0**-23 * tf.ones_like(weight))
        return logs

    return step


class Above(keras.metrics.Mean):
    """The share of outputs above a number, between two neighbours of which a training may end."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return super().update_state(tf.cast(y_pred > 1.0 + 12 * 2.0**-23, "float32"))


def compared(step: Any) -> kerasx.parity.result.Comparison:
    def model() -> keras.Model:
        layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
        return keras.Sequential([keras.Input((1,)), layer])

    ones = np.ones((40, 1), "float32")
    marked = 0.5 * ones
    marked[12:16] += 2.0**-20  # the fourth batch, which is none of the first ones, nor the last
    return kerasx.Engine().compare(
        moving(0.0),
        step,
        model=model,
        dataset=((ones[:24], marked[:24]), (ones[24:], marked[24:])),
        loss="mse",
        metrics=[Above(name="above")],
        optimizer="sgd",
        epochs=1,
        batch_size=4,
        shuffle=False,
        execution="eager",
    )


def test_a_count_that_leaps_is_not_taken_for_a_difference() -> None:
    """24 units are within what rounding is allowed, and the share of outputs above 12 goes from 0 to 1."""
    found = compared(moving(24.0))
    assert [side.evaluation["above"] for side in found.sides] == [0.0, 1.0]
    assert [pair.verdict for pair in found.pairs] == ["equivalent"]


@pytest.mark.soak
def test_a_count_that_differs_by_more_is_one() -> None:
    (pair,) = compared(moving(1000.0)).pairs
    assert pair.verdict == "diverged"


def test_a_count_that_leaps_where_nothing_is_rounded_is_a_difference() -> None:
    (pair,) = compared(moving(0.0, counted=24.0)).pairs
    assert (pair.verdict, pair.affects) == ("diverged", "report")
