"""Runs that are gone on with are the same bits as runs that never were interrupted."""

from __future__ import annotations

import collections
import csv
import itertools
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from resuming import EPOCHS, STEPS, experiment, interrupted, network, outcome, resumed, rows

import kerasx

# All of them, at more places: tests/soak.
EXECUTIONS = [
    ("custom-step", {"execution": "fused", "jit": True, "steps_per_call": 4}),
    ("compiled-fit", {"execution": "fused", "jit": False, "steps_per_call": 4}),
    ("gradient-tape", {"execution": "eager", "jit": False}),
]


@pytest.fixture
def engine(tmp_path: Path) -> kerasx.Engine:
    return kerasx.Engine(runs=tmp_path / "runs")


@pytest.mark.parametrize(("strategy", "execution"), EXECUTIONS, ids=lambda each: str(each)[:40])
def test_a_run_goes_on_at_the_very_step(
    engine: kerasx.Engine, strategy: str, execution: dict[str, Any]
) -> None:
    values = {"strategy": strategy, **execution}
    whole = outcome(engine.train(experiment(**values)))
    assert whole["steps"] == EPOCHS * STEPS
    directory = interrupted(engine, 2 * STEPS + 5, **values)
    summary = json.loads((directory / "summary.json").read_text())
    assert summary["status"] == "interrupted"
    assert summary["resume"] == f"kerasx train --resume {directory}"
    assert outcome(resumed(engine, directory, **values)) == whole


def test_low_precision_goes_on_with_its_loss_scale(engine: kerasx.Engine) -> None:
    values = {"precision": "mixed_float16"}
    whole = outcome(engine.train(experiment(**values)))
    directory = interrupted(engine, STEPS + 4, **values)
    assert outcome(resumed(engine, directory, **values)) == whole


OWN = """
import keras
import tensorflow as tf

optimizer = keras.optimizers.Nadam(0.01)
seen = keras.metrics.Mean(name="seen")
generator = keras.random.SeedGenerator(3)
drawn = tf.random.Generator.from_seed(8)


def step(model, data):
    x, y = data
    size = keras.ops.shape(x)
    x = x + keras.random.normal(size, stddev=0.1, seed=generator) + 0.1 * drawn.normal(tf.shape(x))
    x = x + keras.random.normal(size, stddev=0.1)
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    seen.update_state(loss)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return {**model.compute_metrics(x, y, y_pred), "seen": seen.result()}


def epoch(model, batches):
    for batch in batches:
        logs = step(model, batch)
    return logs
"""


@pytest.mark.parametrize("execution", ["eager", "fused"])
def test_state_of_nobody_is_kept(engine: kerasx.Engine, tmp_path: Path, execution: str) -> None:
    """An optimizer, a metric and generators of a module, and Keras's own generator."""
    (tmp_path / "own.py").write_text(OWN)
    values = {
        "strategy": f"{tmp_path / 'own.py'}:step",
        "optimizer": "sgd",
        "execution": execution,
        "jit": False,
    }
    whole = outcome(engine.train(experiment(**values)))
    directory = interrupted(engine, STEPS + 4, **values)
    assert outcome(resumed(engine, directory, **values)) == whole


def test_a_loop_begins_its_epoch_again(engine: kerasx.Engine, tmp_path: Path) -> None:
    """It has no batch events: a signal ends it at once, and all from the last epoch on is done again."""
    (tmp_path / "own.py").write_text(OWN)
    values = {"strategy": f"{tmp_path / 'own.py'}:epoch", "execution": "eager", "optimizer": "sgd"}
    whole = outcome(engine.train(experiment(**values)))

    directory = interrupted(engine, 2 * STEPS, **values)
    assert outcome(resumed(engine, directory, **values)) == whole


def test_more_epochs_are_what_a_longer_run_would_have_trained(engine: kerasx.Engine) -> None:
    longer = engine.train(experiment(epochs=EPOCHS + 2, learning_rate=0.001, callbacks=[]))
    short = engine.train(experiment(learning_rate=0.001, callbacks=[]))
    again = engine.train(
        experiment(epochs=EPOCHS + 2, learning_rate=0.001, callbacks=[]), resume=short.directory
    )
    assert outcome(again) == outcome(longer)


def test_a_finished_run_says_so_and_another_experiment_is_refused(engine: kerasx.Engine) -> None:
    run = engine.train(experiment(callbacks=[]))
    before = sorted((path.name, path.stat().st_mtime_ns) for path in run.directory.rglob("*.toml"))
    with pytest.raises(kerasx.UsageError, match=r"is finished: all 3 epochs are trained.*--epochs"):
        engine.train(experiment(callbacks=[]), resume="last")
    with pytest.raises(kerasx.UsageError, match=r"`learning_rate` is 0\.02 in the run, and 0\.5 is asked"):
        engine.train(experiment(callbacks=[], epochs=9), learning_rate=0.5, resume=run)
    with pytest.raises(kerasx.UsageError, match="of 3 epochs, and cannot be gone on with to 1"):
        engine.train(experiment(callbacks=[], epochs=1), resume=run)
    with pytest.raises(kerasx.UsageError, match="objects were handed over for dataset, model"):
        engine.train(epochs=9, resume=run)
    other = rows()
    other["x_train"] = other["x_train"] + 1
    with pytest.raises(kerasx.UsageError, match="has changed since it was begun"):
        engine.train(experiment(callbacks=[], epochs=9, dataset=other), resume=run)
    assert before == sorted((path.name, path.stat().st_mtime_ns) for path in run.directory.rglob("*.toml"))


def test_early_stopping_is_finished_too(engine: kerasx.Engine) -> None:
    stops = [keras.callbacks.EarlyStopping("loss", patience=0, min_delta=10.0)]
    run = engine.train(experiment(callbacks=stops))
    assert len(run.history["loss"]) == 2
    with pytest.raises(kerasx.UsageError, match="a callback has ended its training"):
        engine.train(experiment(callbacks=stops, epochs=9), resume=run)


@pytest.mark.parametrize("damage", ["cut"])
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_taken(engine: kerasx.Engine, damage: str) -> None:
    values: dict[str, Any] = {}
    whole = outcome(engine.train(experiment(**values)))
    directory = interrupted(engine, 2 * STEPS + 5, **values)
    newest = max((directory / "checkpoints").glob("*.safetensors"))
    content = bytearray(newest.read_bytes())
    if damage == "flipped":
        content[-9] ^= 1
    newest.write_bytes(content[: {"flipped": None, "cut": len(content) - 100}[damage]])
    (newest.parent / ".tmp-left.safetensors").write_bytes(b"half")
    run = resumed(engine, directory, **values)
    assert outcome(run) == whole
    assert any(f"{newest.name} is damaged" in note for note in run.notes)
    assert not list(newest.parent.glob(".tmp-*"))


def test_every_byte_of_a_checkpoint_counts(tmp_path: Path) -> None:
    from kerasx.checkpoint.file import DamagedError, read_checkpoint, write_checkpoint

    path = tmp_path / "one.safetensors"
    write_checkpoint(path, {"a": np.arange(5.0), "b": np.zeros((), "bool")}, {"epoch": 3})
    content = path.read_bytes()
    assert read_checkpoint(path)[1]["epoch"] == 3
    for place, bit in itertools.product(range(len(content)), (0, 5)):
        changed = bytearray(content)
        changed[place] ^= 1 << bit
        path.write_bytes(changed)
        with pytest.raises(DamagedError):
            read_checkpoint(path)


def test_files_of_keras_callbacks_are_added_to(engine: kerasx.Engine, tmp_path: Path) -> None:
    values: dict[str, Any] = {}

    def logger(name: str) -> list[Any]:
        return [
            keras.callbacks.CSVLogger(str(tmp_path / name)),
            keras.callbacks.ModelCheckpoint(str(tmp_path / f"{name}.keras"), "loss", save_best_only=True),
        ]

    engine.train(experiment(**values, callbacks=logger("whole")))
    directory = interrupted(engine, STEPS + 5, **values, callbacks=logger("parts"))
    resumed(engine, directory, **values, callbacks=logger("parts"))
    tables = [list(csv.reader((tmp_path / name).open())) for name in ("whole", "parts")]
    assert tables[0] == tables[1]


class Remembers(keras.callbacks.Callback):
    """Sets the learning rate by everything that a callback may hold."""

    def __init__(self) -> None:
        super().__init__()
        self.last: collections.deque[float] = collections.deque(maxlen=4)
        self.counts: collections.Counter[str] = collections.Counter()
        self.stream = np.random.default_rng(3)
        self.weight = tf.Variable(0.0)
        self.kernels: list[Any] = []
        self.turned = np.zeros((0, 0))
        self.itself: dict[str, Any] = {}
        self.itself["me"] = self.itself

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.last.append(logs["loss"])
        self.counts[f"{epoch % 2}"] += 1
        self.weight.assign_add(0.1)
        self.kernels.append(tf.convert_to_tensor(self.model.layers[-1].kernel))
        self.turned = self.model.get_weights()[0].T
        mean = float(tf.reduce_mean(tf.abs(tf.stack(self.kernels)))) + float(np.abs(self.turned).mean())
        factor = sum(self.last) + self.counts["0"] + self.stream.random() + float(self.weight) + mean
        self.model.optimizer.learning_rate = 0.001 * factor


def test_what_callbacks_hold_is_remembered(engine: kerasx.Engine) -> None:
    whole = outcome(engine.train(experiment(callbacks=[Remembers()])))
    directory = interrupted(engine, 2 * STEPS + 5, callbacks=[Remembers()])
    assert outcome(resumed(engine, directory, callbacks=[Remembers()])) == whole


def test_the_newest_few_are_kept_whatever_the_clock_says(engine: kerasx.Engine) -> None:
    import os

    run = engine.train(experiment(callbacks=[], epochs=6), checkpoint_seconds=0.0)
    kept = sorted((run.directory / "checkpoints").glob("*.safetensors"))
    assert 1 <= len(kept) <= 3
    os.utime(kept[0], (2**31, 2**31))  # the clock has jumped back since
    longer = engine.train(experiment(callbacks=[], epochs=7), resume=run)
    assert outcome(longer) == outcome(engine.train(experiment(callbacks=[], epochs=7)))


class Waits(keras.callbacks.Callback):
    """Stays at the end of the first epoch until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.here, self.goes_on = threading.Event(), threading.Event()

    def get_state(self) -> None:
        """Nothing is remembered."""

    def set_state(self, state: None) -> None:
        """Nothing was."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.here.set()
        assert self.goes_on.wait(60)


def test_a_run_that_is_being_trained_elsewhere_is_refused(engine: kerasx.Engine) -> None:
    waits = Waits()
    thread = threading.Thread(target=lambda: engine.train(experiment(callbacks=[waits])))
    thread.start()
    try:
        assert waits.here.wait(60)
        run = engine.list_runs()[-1]
        with pytest.raises(kerasx.UsageError, match=r"is being trained by process \d+ on .* since"):
            engine.train(experiment(callbacks=[]), resume=run.path)
        code = "import sys; from kerasx.cli import main; sys.exit(main())"
        done = subprocess.run(
            [sys.executable, "-c", code, "train", "--resume", str(run.path)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
    finally:
        waits.goes_on.set()
        thread.join()


def test_what_cannot_be_kept_is_said_when_the_run_starts(engine: kerasx.Engine) -> None:
    def noisy(model: keras.Model, data: Any) -> Any:
        x, y = data
        return kerasx.train_step(model, (x + tf.random.normal(tf.shape(x)), y))

    run = engine.train(experiment(strategy=noisy, execution="fused", callbacks=[], epochs=1))
    log = (run.directory / "train.log").read_text()
    assert "the step draws from tf.random (RandomStandardNormal)" in log
    run = engine.train(experiment(strategy=noisy, callbacks=[], epochs=1))
    assert "what the step draws from tf.random, if it does" in (run.directory / "train.log").read_text()
    data = rows()
    pipeline = tf.data.Dataset.from_tensor_slices((data["x_train"], data["y_train"])).batch(16)
    run = engine.train(experiment(dataset=pipeline, callbacks=[], epochs=1, model=network))
    assert "makes the pipeline anew" in (run.directory / "train.log").read_text()


class Holds(keras.callbacks.Callback):
    """Some of what it holds can be kept, some cannot, and some need not be."""

    def __init__(self) -> None:
        super().__init__()
        self.count, self.best, self.tool = 0, np.zeros(3), np.mean
        self.tokens = iter([1, 2, 3])


def test_what_a_callback_holds_and_no_checkpoint_keeps_is_said_when_the_run_starts(
    engine: kerasx.Engine,
) -> None:
    run = engine.train(experiment(callbacks=[Holds()], epochs=1))
    log = (run.directory / "train.log").read_text()
    assert "the callback Holds holds `tokens`, which no checkpoint can keep" in log


def test_a_metric_that_no_step_gives_anything_is_told(engine: kerasx.Engine) -> None:
    def forgets(model: keras.Model, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x, y, model(x, training=True))
        variables = model.trainable_variables
        model.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}

    with pytest.raises(kerasx.UsageError, match="a metric was given nothing"):
        engine.train(experiment(strategy=forgets, callbacks=[], metrics=["accuracy"]))


@pytest.mark.parametrize("execution", ["graph", "fused"])
def test_pipelines_are_gone_through_to_where_they_were(engine: kerasx.Engine, execution: str) -> None:
    """One that shuffles by a seed draws its orders in turn."""
    data = rows()

    def pipeline() -> Any:
        parts = tf.data.Dataset.from_tensor_slices((data["x_train"], data["y_train"]))
        return parts.shuffle(150, seed=4).batch(16)

    values = {"strategy": "custom-step", "execution": execution, "jit": False}
    whole = outcome(engine.train(experiment(**values, dataset=pipeline())))
    directory = interrupted(engine, 2 * STEPS + 5, **values, dataset=pipeline())
    assert outcome(resumed(engine, directory, **values, dataset=pipeline())) == whole


@pytest.mark.parametrize(
    ("strategy", "execution"),
    [("gradient-tape", "graph"), ("compiled-fit", "graph"), ("custom-step", "fused")],
)
def test_validation_pipelines_are_gone_through_too(
    engine: kerasx.Engine, strategy: str, execution: str
) -> None:
    """Of the order that one draws depends here which rows are validated on."""
    data = rows()

    def pipelines() -> Any:
        train = tf.data.Dataset.from_tensor_slices((data["x_train"], data["y_train"])).batch(16)
        validation = tf.data.Dataset.from_tensor_slices((data["x_test"], data["y_test"]))
        return train, validation.shuffle(40, seed=3).take(20).batch(8)

    values: dict[str, Any] = {"strategy": strategy, "execution": execution, "callbacks": []}
    whole = outcome(engine.train(experiment(**values, dataset=pipelines())))
    directory = interrupted(engine, 2 * STEPS + 5, **values, dataset=pipelines())
    assert outcome(resumed(engine, directory, **values, dataset=pipelines())) == whole


def dropping(rate: float) -> Any:
    def build() -> keras.Model:
        inputs = keras.Input((8,))
        hidden = keras.layers.Dropout(rate)(keras.layers.Dense(12, activation="relu")(inputs))
        return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden))

    return build


def falling(rate: float) -> Any:
    return keras.optimizers.schedules.ExponentialDecay(0.02, 10, rate)


def smoothed(smoothing: float) -> Any:
    return keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)


@pytest.mark.parametrize(
    ("before", "same", "other", "said"),
    [
        (
            {"model": dropping(0.1)},
            {"model": dropping(0.1)},
            {"model": dropping(0.8)},
            r"`model\.config\.layers\.2\.config\.rate` is 0\.1 in the run, and 0\.8 is asked for",
        ),
        (
            {"loss": smoothed(0.0), "labels": "one-hot"},
            {"loss": smoothed(0.0), "labels": "one-hot"},
            {"loss": smoothed(0.5), "labels": "one-hot"},
            r"`loss\.config\.label_smoothing` is 0\.0 in the run, and 0\.5",
        ),
        (
            {"optimizer": keras.optimizers.Adam(0.02), "learning_rate": None},
            {"optimizer": keras.optimizers.Adam(0.02), "learning_rate": None},
            {"optimizer": keras.optimizers.Adam(0.02, beta_1=0.5), "learning_rate": None},
            r"`optimizer\.config\.beta_1` is 0\.9 in the run, and 0\.5",
        ),
        (
            {"optimizer": keras.optimizers.Adam(falling(0.5)), "learning_rate": None},
            {"optimizer": keras.optimizers.Adam(falling(0.5)), "learning_rate": None},
            {"optimizer": keras.optimizers.Adam(falling(0.9)), "learning_rate": None},
            r"`optimizer\.config\.learning_rate\.config\.decay_rate` is 0\.5 in the run, and 0\.9",
        ),
    ],
    ids=["model", "loss", "optimizer", "schedule"],
)
def test_other_objects_are_refused(
    engine: kerasx.Engine, before: dict[str, Any], same: dict[str, Any], other: dict[str, Any], said: str
) -> None:
    """They are known by what they tell of themselves, names that Keras numbers aside."""
    directory = interrupted(engine, STEPS + 4, callbacks=[], **before)
    with pytest.raises(kerasx.UsageError, match=said):
        resumed(engine, directory, callbacks=[], **other)
    assert resumed(engine, directory, callbacks=[], **same).steps == EPOCHS * STEPS
