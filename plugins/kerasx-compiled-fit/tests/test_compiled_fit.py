"""The strategy is Keras's fit: its own steps are called, and none can be named."""

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
FIELDS: dict[str, Any] = {"dataset": (X, X[:, :1]), "loss": "mse", "epochs": 1}


def test_a_step_cannot_be_named(tmp_path: Path) -> None:
    """The option is unknown to it, and the message says so."""
    with pytest.raises(kerasx.UsageError, match="no option `step`"):
        kerasx.Engine(runs=tmp_path).train(**FIELDS, strategy={"name": "compiled-fit", "step": "own.py:step"})
    assert list(tmp_path.iterdir()) == []


def test_the_models_own_steps_are_called(tmp_path: Path) -> None:
    """As Keras would."""

    class Own(keras.Sequential):
        def train_step(self, data: Any) -> Any:
            return {**super().train_step(data), "own": 3.0}

        def test_step(self, data: Any) -> Any:
            return {**super().test_step(data), "own": 4.0}

    model = Own([keras.Input((3,)), keras.layers.Dense(1)])
    fields = {**FIELDS, "dataset": ((X, X[:, :1]), (X, X[:, :1]))}
    run = kerasx.Engine(runs=tmp_path).train(**fields, model=model, strategy="compiled-fit")
    assert run.history["own"] == [3.0]
    assert run.evaluation["own"] == 4.0


def test_keras_settles_jit_by_its_own_rule(tmp_path: Path) -> None:
    """Off on a CPU unless asked for; where a layer cannot be compiled, off, and said."""
    engine = kerasx.Engine(runs=tmp_path)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    run = engine.train(**FIELDS, model=model, strategy="compiled-fit", jit=True)
    assert run.jit
    layer = keras.layers.Dense(1)
    layer.supports_jit = False
    run = engine.train(
        **FIELDS, model=keras.Sequential([keras.Input((3,)), layer]), strategy="compiled-fit", jit=True
    )
    assert not run.jit
    assert any("jit_compile" in note for note in run.notes)
