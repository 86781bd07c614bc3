"""A run that rebuilds its model from the user's code names what has changed in it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import kerasx

MODEL = """
import keras
from numbers_of_mine import UNITS


class Free(keras.Model):
    def __init__(self, activation):  # get_config would have to tell of it
        super().__init__()
        self.hidden, self.out = keras.layers.Dense(UNITS), keras.layers.Dense(1)
        self.activation = activation

    def call(self, inputs):
        return self.out(self.activation(self.hidden(inputs)))


def build():
    return Free(keras.ops.relu)
"""
X = np.random.RandomState(0).randn(20, 3).astype("float32")


class Notes:
    """A reporter that keeps what it is told, but for whose code runs."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, text: str) -> None:
        if not text.startswith("code by reference: "):
            self.told.append(text)

    def callbacks(self, steps: int | None) -> list[object]:
        return []


@pytest.fixture
def trained(tmp_path: Path) -> tuple[kerasx.Engine, kerasx.Run, Callable[[], Notes]]:
    (tmp_path / "own.py").write_text(MODEL)
    (tmp_path / "numbers_of_mine.py").write_text("UNITS = 4\n")
    engine = kerasx.Engine(runs=tmp_path / "runs")
    np.savez(tmp_path / "data.npz", x_train=X, y_train=X[:, :1], x_test=X, y_test=X[:, :1])
    run = engine.train(
        model=f"{tmp_path}/own.py:build",
        dataset=f"{tmp_path}/data.npz",
        loss="mse",
        metrics=["mae"],
        epochs=1,
    )
    assert (run.directory / "model.weights.h5").exists()

    def evaluated() -> Notes:
        notes = Notes()
        engine.evaluate(run, reporter=notes)
        return notes

    return engine, run, evaluated


def test_both_files_are_on_record_and_nothing_else(
    tmp_path: Path, trained: tuple[kerasx.Engine, kerasx.Run, Callable[[], Notes]]
) -> None:
    _, run, evaluated = trained
    record = json.loads((run.directory / "environment.json").read_text())["sources"]
    assert {Path(path).name for path in record} == {"own.py", "numbers_of_mine.py"}
    assert all(len(digest) == 64 for digest in record.values())
    assert evaluated().told == []
    os.utime(tmp_path / "own.py")  # touched, not changed
    assert evaluated().told == []


def test_what_still_fits_is_used_and_named(
    tmp_path: Path, trained: tuple[kerasx.Engine, kerasx.Run, Callable[[], Notes]]
) -> None:
    engine, run, evaluated = trained
    before = engine.predict(run, X)
    (tmp_path / "own.py").write_text(MODEL.replace("relu", "tanh"))
    notes = Notes()
    assert not np.array_equal(engine.predict(run, X, reporter=notes), before)
    assert len(notes.told) == len(evaluated().told) == 1
    assert "own.py` has changed since" in notes.told[0]
    notes = Notes()
    engine.export(run, tmp_path / "out.weights.h5", reporter=notes)
    assert len(notes.told) == 1


def test_what_no_longer_fits_names_the_file(
    tmp_path: Path, trained: tuple[kerasx.Engine, kerasx.Run, Callable[[], Notes]]
) -> None:
    """Also one that is only imported by the file that the reference names."""
    engine, run, _ = trained
    (tmp_path / "numbers_of_mine.py").write_text("UNITS = 5\n")
    with pytest.raises(kerasx.UsageError, match=r"do not fit.*Changed since .*numbers_of_mine\.py"):
        engine.predict(run, X)
    (tmp_path / "own.py").write_text(MODEL.replace("def build", "def built"))
    with pytest.raises(kerasx.UsageError, match=r"no `build`.*Did you mean `built`.*Changed since"):
        engine.evaluate(run)
