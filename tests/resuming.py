"""Trainings that are interrupted at a step and gone on with, beside ones that never were."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import kerasx

STEPS = 10  # an epoch; the last batch is a short one
EPOCHS = 3


def rows(count: int = 190) -> dict[str, Any]:
    """Three classes by the largest of the first values."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(count, 8)).astype("float32")
    y = x[:, :3].argmax(axis=1)
    return {"x_train": x[:150], "y_train": y[:150], "x_test": x[150:], "y_test": y[150:]}


def network() -> keras.Model:
    """Everything that has a state: augmentation, batch normalization, dropout."""
    return keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.GaussianNoise(0.1),
            keras.layers.Dense(12, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3, activation="softmax", dtype="float32"),
        ]
    )


def experiment(**values: Any) -> kerasx.Experiment:
    """Small, with a stateful optimizer, a schedule by a callback, and an end that callbacks choose."""
    return kerasx.Experiment(
        **{
            "model": network,
            "dataset": rows(),
            "loss": "sparse_categorical_crossentropy",
            "metrics": ["accuracy"],
            "optimizer": {"name": "adam", "use_ema": True, "ema_momentum": 0.9},
            "learning_rate": 0.02,
            "batch_size": 16,
            "strategy": "gradient-tape",
            "execution": "graph",
            "jit": False,
            "epochs": EPOCHS,
            "callbacks": callbacks(),
            **values,
        }
    )


def callbacks() -> list[keras.callbacks.Callback]:
    """New ones, which remember."""
    return [
        keras.callbacks.EarlyStopping("val_loss", patience=5, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=0.05, factor=0.5),
    ]


class SignalAt(keras.callbacks.Callback):
    """Sends the process SIGTERM once so many steps were taken, between two steps or within a call of many."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._at = steps
        self._before = 0

    def get_state(self) -> None:
        """Nothing is remembered: when a run is gone on with, none is sent."""

    def set_state(self, state: None) -> None:
        """Nothing was."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._before = epoch * STEPS
        if self._before >= self._at:  # as of a loop without batch events
            self.on_steps(0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.on_steps(min(batch + 1, STEPS))

    def on_steps(self, steps: int) -> None:
        if self._before + steps >= self._at:
            self._at = 10**9
            os.kill(os.getpid(), signal.SIGTERM)


def interrupted(engine: kerasx.Engine, at: int, **values: Any) -> Path:
    """The directory of a run that a signal ended after so many steps."""
    given = experiment(**values)
    before = {run.path for run in engine.list_runs()}
    with pytest.raises(kerasx.Interrupted) as stopped:
        engine.train(given.with_values(callbacks=[*_objects(given), SignalAt(at)]))
    assert stopped.value.exit_code == 143
    (directory,) = {run.path for run in engine.list_runs()} - before
    return directory


def resumed(engine: kerasx.Engine, directory: Path, **values: Any) -> kerasx.Run:
    """Go on with it; objects are handed over again, the callback that sent the signal a silent one."""
    given = experiment(**values)
    return engine.train(given.with_values(callbacks=[*_objects(given), SignalAt(10**9)]), resume=directory)


def _objects(given: kerasx.Experiment) -> list[Any]:
    return [each.value if each.is_object else each for each in given.callbacks]


def outcome(run: kerasx.Run) -> dict[str, Any]:
    """All that is promised to be the same, times aside."""
    rows = [json.loads(line) for line in (run.directory / "metrics.jsonl").read_text().splitlines()]
    with open(run.directory / "history.csv", newline="") as file:
        table = list(csv.DictReader(file))
    for row in [*rows, *table]:
        row.pop("seconds")
    return {
        "digest": run.weights_digest,
        "history": run.history,
        "evaluation": run.evaluation,
        "steps": run.steps,
        "rows": rows,
        "table": table,
    }
