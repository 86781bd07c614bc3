"""The strategy leaves the model as it found it, and calls the step it was told to."""

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
FIELDS: dict[str, Any] = {
    "dataset": ((X, X[:, :1]), (X, X[:, :1])),
    "loss": "mse",
    "epochs": 1,
    "strategy": "custom-step",
}
STEPS = """
import kerasx

calls = []


def step(model, data):
    calls.append("train")
    return {**kerasx.train_step(model, data), "mine": 1.0}


def test_step(model, data):
    calls.append("test")
    return {**kerasx.test_step(model, data), "mine": 2.0}
"""


def linear() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])


def test_the_model_is_left_as_it_was(tmp_path: Path) -> None:
    """Its class and attributes, also after a failure; and a plain fit then runs Keras's own step."""
    model = linear()
    kerasx.Engine(runs=tmp_path).train(**FIELDS, model=model)
    assert type(model) is keras.Sequential
    assert "train_step" not in vars(model)
    assert "test_step" not in vars(model)

    def failing(model: keras.Model, data: Any) -> Any:
        raise RuntimeError("on purpose")

    with pytest.raises(kerasx.UsageError, match="on purpose"):
        kerasx.Engine(runs=tmp_path).train(**{**FIELDS, "strategy": failing}, model=model)
    assert "train_step" not in vars(model)
    history = model.fit(X, X[:, :1], verbose=0)
    assert set(history.history) == {"loss"}


def test_named_steps_are_called(tmp_path: Path) -> None:
    """Both, and their own keys are in the logs, of the evaluation too."""
    (tmp_path / "own.py").write_text(STEPS)
    strategy = {
        "name": "custom-step",
        "step": f"{tmp_path}/own.py:step",
        "test_step": f"{tmp_path}/own.py:test_step",
    }
    run = kerasx.Engine(runs=tmp_path).train(**{**FIELDS, "strategy": strategy}, model=linear())
    assert run.history["mine"] == [1.0]
    assert run.history["val_mine"] == [2.0]
    assert run.evaluation["mine"] == 2.0
    assert any(note.endswith("own.py:step") for note in run.notes)


def test_an_instances_own_step_is_kept(tmp_path: Path) -> None:
    """A step that somebody set on the model is the model's own: it is called, and stays."""
    model, seen = linear(), []

    def own(data: Any) -> Any:
        seen.append(1)
        return keras.Sequential.train_step(model, data)

    model.train_step = own
    run = kerasx.Engine(runs=tmp_path).train(**FIELDS, model=model)
    assert seen
    assert model.train_step is own
    assert any("the model's own" in note for note in run.notes)
