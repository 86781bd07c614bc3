"""The strategy's own: named steps, and the ends of its loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402

X = np.random.RandomState(0).randn(40, 3).astype("float32")
Y = X[:, :1]
STEPS = """
import kerasx


def step(model, data):
    return {**kerasx.train_step(model, data), "mine": 1.0}


def test_step(model, data):
    return {**kerasx.test_step(model, data), "mine": 2.0}
"""


def linear() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])


@pytest.mark.parametrize("execution", ["eager", "graph"])
def test_named_steps_are_called(tmp_path: Path, execution: str) -> None:
    """Both, in training and in the evaluation after it."""
    (tmp_path / "own.py").write_text(STEPS)
    run = kerasx.Engine(runs=tmp_path).train(
        model=linear(),
        dataset=((X, Y), (X, Y)),
        loss="mse",
        epochs=2,
        execution=execution,
        strategy={
            "name": "gradient-tape",
            "step": f"{tmp_path}/own.py:step",
            "test_step": f"{tmp_path}/own.py:test_step",
        },
    )
    assert run.history["mine"] == [1.0, 1.0]
    assert run.history["val_mine"] == [2.0, 2.0]
    assert run.evaluation["mine"] == 2.0


def test_without_validation_and_with_one_batch(tmp_path: Path) -> None:
    """Fewer rows than a batch, no validation: one step an epoch."""
    run = kerasx.Engine(runs=tmp_path).train(
        model=linear(), dataset=(X[:5], Y[:5]), loss="mse", epochs=3, strategy="gradient-tape"
    )
    assert run.steps == 3
    assert run.evaluation == {}
    assert set(run.history) == {"loss"}


def test_a_step_is_traced_once(tmp_path: Path) -> None:
    """Full and short batches, and all epochs, run through one trace."""
    traces: list[Any] = []

    def step(model: keras.Model, data: Any) -> Any:
        traces.append(data[0].shape)
        return kerasx.train_step(model, data)

    class Traced(keras.Sequential):
        def train_step(self, data: Any) -> Any:
            return step(self, data)

    model = Traced([keras.Input((3,)), keras.layers.Dense(1)])
    kerasx.Engine(runs=tmp_path).train(
        model=model, dataset=(X, Y), loss="mse", epochs=3, batch_size=16, strategy="gradient-tape"
    )
    assert [shape.as_list() for shape in traces] == [[None, 3]]
