"""Kills trainings with SIGKILL at random moments and goes on with them, time and again, to their end."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

MODEL = '''
import time

import keras


def build():
    return keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.GaussianNoise(0.1),
            keras.layers.Dense(24, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3, activation="softmax", dtype="float32"),
        ]
    )


class Slowly(keras.callbacks.Callback):
    """Long enough to be killed in."""

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.01)

    def on_epoch_end(self, epoch, logs=None):
        time.sleep(0.2)
'''

EXECUTIONS = [
    (strategy, execution, jit)
    for strategy in ("custom-step", "gradient-tape", "compiled-fit")
    for execution, jit in (("fused", True), ("fused", False), ("graph", False), ("eager", False))
]


@dataclass
class Killed:
    """What came of one training that was killed.

    Attributes:
        described: Its strategy and execution.
        kills: At which checkpoints it was killed, the newest that there were.
        expected: The outcome of the same training, never killed.
        got: Its own outcome.
    """

    described: str
    kills: list[str] = field(default_factory=list)
    expected: dict[str, Any] = field(default_factory=dict)
    got: dict[str, Any] = field(default_factory=dict)


def killed(folder: Path, seed: int, kills: int, execution: tuple[str, str, bool] | None = None) -> Killed:
    """Train without and with kills.

    Args:
        folder: An empty one.
        seed: Of the experiment, and of the moments.
        kills: How often to kill it; fewer where it comes to its end before.
        execution: Strategy, execution and jit; None for one by the seed.
    """
    draws = random.Random(seed)
    strategy, mode, jit = execution or draws.choice(EXECUTIONS)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(260, 8)).astype("float32")
    y = x[:, :3].argmax(axis=1)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "rows.npz", x_train=x[:200], y_train=y[:200], x_test=x[200:], y_test=y[200:])
    (folder / "mine.py").write_text(MODEL)
    precision = draws.choice(["float32", "float32", "mixed_float16"])
    experiment = [
        "--strategy", strategy, "--execution", mode, "--jit" if jit else "--no-jit",
        "--model", "mine.py:build", "--dataset", "rows.npz", "--loss", "sparse_categorical_crossentropy",
        "--optimizer", "adam", "--set", "optimizer.use_ema=true", "--learning-rate", "0.01",
        "--batch-size", "16", "--epochs", "12", "--seed", str(seed), "--precision", precision,
        "--set", "callbacks=[{name='mine.py:Slowly'},"
        " {name='EarlyStopping', monitor='val_loss', patience=6, restore_best_weights=true},"
        " {name='ReduceLROnPlateau', monitor='loss', patience=1, factor=0.5}]",
    ]  # fmt: skip
    if mode == "fused":
        experiment += ["--steps-per-call", str(draws.choice([1, 3, 5, 13]))]
    found = Killed(f"{strategy} {mode}{' jit' if jit else ''} {precision} seed {seed}")
    done = _ended(_started(folder, experiment, "whole"))
    found.expected = _outcome(done)
    # A checkpoint at each step, so that many kills are within one being written.
    every = draws.choice(["0", "0.05"])
    process = _started(folder, [*experiment, "--checkpoint-every", every], "killed")
    for _ in range(kills):
        if not _killed_within(process, folder / "killed", draws.uniform(0.0, 1.2)):
            break
        found.kills.append(_newest(folder / "killed"))
        process = _started(folder, ["--resume", "last", "--checkpoint-every", every], "killed")
    done = _ended(process)
    if (
        done.returncode == 2 and "is finished" in done.stderr
    ):  # killed between its end and that of the process
        summary = next((folder / "killed").glob("*/summary.json"))
        found.got = {name: json.loads(summary.read_text())[name] for name in found.expected}
    else:
        found.got = _outcome(done)
    return found


def _started(folder: Path, options: list[str], runs: str) -> subprocess.Popen[str]:
    code = "import sys; from kerasx.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, "train", *options, "--runs", runs, "--json", "--quiet"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    )


def _ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    out, err = process.communicate(timeout=180)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _outcome(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    return {name: result[name] for name in ("weights_digest", "history", "evaluation")}


def _killed_within(process: subprocess.Popen[str], runs: Path, seconds: float) -> bool:
    """Kill it so long after it has begun to train; False where it has ended before."""
    begun = time.monotonic()
    before = _newest(runs)
    while _newest(runs) == before and process.poll() is None and time.monotonic() - begun < 120:
        time.sleep(0.005)
    time.sleep(seconds)
    if process.poll() is not None:
        return False
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return True


def _newest(runs: Path) -> str:
    """The name of the newest checkpoint; empty where there is none."""
    return max((path.name for path in runs.glob("*/checkpoints/*.safetensors")), default="")
