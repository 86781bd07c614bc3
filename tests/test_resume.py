"""Runs that are gone on with are the same bits as runs that never were interrupted."""

from __future__ import annotations

import collections
import csv
import dataclasses
import gc
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections import OrderedDict, defaultdict, deque
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from resuming import (
    EPOCHS,
    STEPS,
    SignalAt,
    callbacks,
    experiment,
    interrupted,
    network,
    outcome,
    resumed,
    rows,
)

import kerasx
from kerasx.checkpoint import keeper
from kerasx.checkpoint.attributes import attributes
from kerasx.checkpoint.folder import newest
from kerasx.checkpoint.held import Holding

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


class SignalInValidation(keras.callbacks.Callback):
    """Sends SIGTERM when the validation of the second epoch begins, and counts how often it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = self.batches = 0
        self.sends = True

    def get_state(self) -> list[int]:
        return [self.begun, self.batches]

    def set_state(self, state: list[int]) -> None:
        self.begun, self.batches = state
        self.sends = False

    def on_test_begin(self, logs: Any = None) -> None:
        self.begun += 1
        if self.sends and self.begun == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.batches += 1


def silent() -> SignalInValidation:
    """One that sends none."""
    callback = SignalInValidation()
    callback.sends = False
    return callback


def ended_in_validation(
    engine: kerasx.Engine, monkeypatch: pytest.MonkeyPatch, **values: Any
) -> tuple[SignalInValidation, tuple[int, int]]:
    """Where a signal in validation ended a run, which when gone on with is as one that none did."""
    # However slow this machine is to copy the state.
    monkeypatch.setattr(keeper, "_SHARE_OF_COPIES", 1.0)
    told, again, straight = SignalInValidation(), SignalInValidation(), silent()
    own = values.pop("callbacks", callbacks)
    with pytest.raises(kerasx.Interrupted):
        engine.train(experiment(callbacks=[*own(), told], **values))
    (run,) = engine.list_runs()
    found, _ = newest(run.path / "checkpoints")
    assert found is not None
    gone_on = engine.train(experiment(callbacks=[*own(), again], **values), resume=run.path)
    whole = engine.train(experiment(callbacks=[*own(), straight], **values))
    assert outcome(gone_on) == outcome(whole)
    assert again.get_state() == straight.get_state()
    return told, (found.state["epoch"], found.state["step"])


@pytest.mark.parametrize(
    ("strategy", "execution"),
    [pytest.param(*EXECUTIONS[0], marks=pytest.mark.soak), *EXECUTIONS[1:]],
    ids=lambda each: str(each)[:40],
)
def test_a_signal_in_validation_ends_within_it(
    engine: kerasx.Engine, monkeypatch: pytest.MonkeyPatch, strategy: str, execution: dict[str, Any]
) -> None:
    """It may take as long as the training; the run goes on with what its validation began with."""
    told, where = ended_in_validation(engine, monkeypatch, strategy=strategy, **execution)
    assert where == (1, STEPS)
    if execution["execution"] != "fused":
        assert told.batches == 4  # three, and the one that it came in


def of_unknown_length() -> Any:
    """A pipeline that does not tell how many batches it has: Keras begins a call more to see."""
    given = rows()
    x, y = given["x_train"], given["y_train"]

    def batches() -> Any:
        for place in range(0, 144, 16):
            yield x[place : place + 16], y[place : place + 16]

    signature = (tf.TensorSpec((16, 8), tf.float32), tf.TensorSpec((16,), tf.int64))
    pipeline = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return pipeline, (given["x_test"], given["y_test"])


class Averaging(keras.Sequential):
    """Evaluates with other weights than it is trained with."""

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        kept = [each.numpy() for each in self.trainable_variables]
        for each in self.trainable_variables:
            each.assign(0.5 * each)
        try:
            return super().evaluate(*args, **kwargs)
        finally:
            for each, value in zip(self.trainable_variables, kept, strict=True):
                each.assign(value)


def averaging() -> keras.Model:
    return Averaging([keras.Input((8,)), keras.layers.Dense(3, activation="softmax")])


@pytest.mark.soak
@pytest.mark.parametrize(
    "values",
    [
        {"strategy": "compiled-fit", "dataset": of_unknown_length, "execution": "graph"},
        {"strategy": "custom-step", "dataset": of_unknown_length, "execution": "graph"},
        {"strategy": "custom-step", "dataset": of_unknown_length, "execution": "fused", "steps_per_call": 4},
        {"strategy": "compiled-fit", "model": averaging, "execution": "graph"},
    ],
    ids=["fit", "step", "fused", "evaluate"],
)
def test_where_validation_cannot_be_begun_again_a_signal_waits_for_its_end(
    engine: kerasx.Engine, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]
) -> None:
    _, where = ended_in_validation(engine, monkeypatch, callbacks=list, **values)
    assert where == (2, 0)


@pytest.mark.soak
@pytest.mark.parametrize("strategy", ["gradient-tape", "custom-step"])
@pytest.mark.parametrize("begins_again", [True, False])
def test_what_a_test_step_makes_is_none_of_the_state(
    engine: kerasx.Engine, monkeypatch: pytest.MonkeyPatch, strategy: str, begins_again: bool
) -> None:
    """A run that was gone on with from the end of an epoch can be gone on with again, whether it was ended in
    a validation that can be begun again, or before one that cannot."""
    monkeypatch.setattr(keeper, "_SHARE_OF_COPIES", 1.0)
    made: list[Any] = []

    def test_step(model: keras.Model, data: Any) -> Any:
        x, y = data
        if not made:
            made.append(tf.Variable(0.0))
        made[0].assign_add(1.0)
        y_pred = model(x, training=False)
        loss = model.compute_loss(x, y, y_pred, training=False)
        model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        return model.compute_metrics(x, y, y_pred)

    values = {"strategy": {"name": strategy, "test_step": test_step}, "execution": "eager"}
    first = [SignalInValidation(), SignalAt(10**9)]
    if not begins_again:
        values["model"] = averaging
        first = [silent(), SignalAt(STEPS)]
    with pytest.raises(kerasx.Interrupted):
        engine.train(experiment(callbacks=first, **values))
    (run,) = engine.list_runs()
    made.clear()  # as in a new process
    with pytest.raises(kerasx.Interrupted):
        engine.train(experiment(callbacks=[silent(), SignalAt(2 * STEPS + 4)], **values), resume=run.path)
    made.clear()
    gone_on = engine.train(experiment(callbacks=[silent(), SignalAt(10**9)], **values), resume=run.path)
    whole = engine.train(experiment(callbacks=[silent(), SignalAt(10**9)], **values))
    assert outcome(gone_on) == outcome(whole)


@pytest.mark.soak
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


@pytest.mark.soak
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


class TwoOptimizers(keras.Model):
    """Trains by an optimizer of its own, and counts in a variable that Keras does not know of."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()
        self.own = keras.optimizers.Adam(0.02)
        self.taken = tf.Variable(0.0)
        self.net.build((None, 8))
        self.built = True

    def call(self, x: Any, training: bool = False) -> Any:
        return self.net(x, training=training)

    def train_step(self, data: Any) -> Any:
        x, y = data
        self.taken.assign_add(0.05)
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred) * (1 + self.taken)
        self.own.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        self.metrics[0].update_state(loss)
        return self.compute_metrics(x, y, y_pred)


def model_of_two_optimizers() -> dict[str, Any]:
    keras.utils.set_random_seed(7)
    return {"model": TwoOptimizers(), "strategy": "compiled-fit"}


def step_with_an_optimizer() -> dict[str, Any]:
    own = keras.optimizers.Adam(0.02)

    def step(model: keras.Model, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = model.compute_loss(x, y, y_pred)
        own.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        model.metrics[0].update_state(loss)
        return model.compute_metrics(x, y, y_pred)

    return {"strategy": step}


class Measures(keras.callbacks.Callback):
    """Holds a metric and a random stream of Keras's."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = {"mean": keras.metrics.Mean(), "seed": keras.random.SeedGenerator(3)}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.parts["mean"].update_state(logs["loss"])
        drawn = keras.random.uniform((), seed=self.parts["seed"])
        self.model.optimizer.learning_rate = 0.01 * float(self.parts["mean"].result()) * float(drawn)


def callback_with_a_metric() -> dict[str, Any]:
    return {"callbacks": [Measures()]}


@pytest.mark.soak
@pytest.mark.parametrize("anew", [model_of_two_optimizers, step_with_an_optimizer, callback_with_a_metric])
def test_variables_made_before_the_training_are_kept(engine: kerasx.Engine, anew: Any) -> None:
    def values() -> dict[str, Any]:
        return {"optimizer": "sgd", "callbacks": [], **anew()}

    whole = outcome(engine.train(experiment(**values())))
    directory = interrupted(engine, STEPS + 5, **values())
    assert outcome(resumed(engine, directory, **values())) == whole
    assert "no checkpoint can keep" not in (directory / "train.log").read_text()


DEVICES = """
import pathlib, sys
import keras, tensorflow as tf
sys.path.insert(0, sys.argv[1])
from resuming import STEPS, experiment, interrupted, network, outcome, resumed
import kerasx

class Scaled(keras.Model):
    def __init__(self):
        super().__init__()
        self.net, self.factor = network(), tf.Variable(1.0)
        self.net.build((None, 8))
        self.built = True
    def call(self, x, training=False):
        return self.net(x * self.factor, training=training)

class Adds(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.factor.assign_add(0.2)

def values():
    return {"model": Scaled, "devices": 2, "callbacks": [Adds()]}

engine = kerasx.Engine(runs=pathlib.Path(sys.argv[2]))
whole = outcome(engine.train(experiment(**values())))
directory = interrupted(engine, STEPS + 4, **values())
assert outcome(resumed(engine, directory, **values())) == whole
"""


@pytest.mark.soak
def test_variables_of_nobody_are_kept_on_several_devices(tmp_path: Path) -> None:
    """In a process of its own: devices are divided before TensorFlow has started."""
    done = subprocess.run(
        [sys.executable, "-c", DEVICES, str(Path(__file__).parent), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_loop_begins_its_epoch_again(engine: kerasx.Engine, tmp_path: Path) -> None:
    """It has no batch events: a signal ends it at once, and all from the last epoch on is done again."""
    (tmp_path / "own.py").write_text(OWN)
    values = {"strategy": f"{tmp_path / 'own.py'}:epoch", "execution": "eager", "optimizer": "sgd"}
    whole = outcome(engine.train(experiment(**values)))

    directory = interrupted(engine, 2 * STEPS, **values)
    assert outcome(resumed(engine, directory, **values)) == whole


class Collects(keras.callbacks.Callback):
    """Collects garbage as training begins, where it is to."""

    def __init__(self, *, collects: bool) -> None:
        super().__init__()
        self._collects = collects

    def get_state(self) -> None:
        """Nothing is remembered."""

    def set_state(self, state: None) -> None:
        """Nothing was."""

    def on_train_begin(self, logs: Any = None) -> None:
        if self._collects:
            gc.collect()


def wasteful() -> keras.Model:
    """Leaves a variable behind that only itself holds."""
    garbage: list[Any] = [tf.Variable(0.0)]
    garbage.append(garbage)
    return network()


def stepping(model: keras.Model, batches: Any) -> Any:
    """A loop over one epoch."""
    logs: Any = {}
    for batch in batches:
        logs = kerasx.train_step(model, batch)
    return logs


@pytest.mark.parametrize("strategy", [stepping, "gradient-tape"], ids=["loop", "steps"])
def test_garbage_is_none_of_the_state(engine: kerasx.Engine, strategy: Any) -> None:
    """Whether or not it has been collected by the time that a run begins, or is gone on with."""
    values = {"strategy": strategy, "execution": "eager", "model": wasteful}
    gc.disable()
    try:
        with pytest.raises(kerasx.Interrupted):
            engine.train(experiment(callbacks=[Collects(collects=False), SignalAt(2 * STEPS)], **values))
    finally:
        gc.enable()
    (run,) = engine.list_runs()
    silent_ones = [Collects(collects=True), SignalAt(10**9)]
    gone_on = engine.train(experiment(callbacks=silent_ones, **values), resume=run.path)
    assert gone_on.steps == EPOCHS * STEPS


@pytest.mark.soak
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


@pytest.mark.soak
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


@pytest.mark.soak
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


@pytest.mark.soak
def test_what_callbacks_hold_is_remembered(engine: kerasx.Engine) -> None:
    whole = outcome(engine.train(experiment(callbacks=[Remembers()])))
    directory = interrupted(engine, 2 * STEPS + 5, callbacks=[Remembers()])
    assert outcome(resumed(engine, directory, callbacks=[Remembers()])) == whole


class Averages(keras.callbacks.Callback):
    """Averages weights in variables of its own, made when training begins or once an epoch has ended."""

    def __init__(self, *, later: bool) -> None:
        super().__init__()
        self.later, self.count = later, 0
        self.averages: list[tf.Variable] | None = None
        self.factor: tf.Variable | None = None
        self.streams: dict[str, Any] = {"own": np.random.default_rng(1)}

    def on_train_begin(self, logs: Any = None) -> None:
        if not self.later:
            self.averages = [tf.Variable(each) for each in self.model.get_weights()]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        weights = self.model.get_weights()
        if self.averages is None:
            self.averages = [tf.Variable(each) for each in weights]
        if self.factor is None:
            self.factor = tf.Variable(1.0)
        self.factor.assign(self.factor * 0.9)
        self.count += 1
        self.model.optimizer.learning_rate = 0.02 * self.streams["own"].random() * float(self.factor)
        for average, weight in zip(self.averages, weights, strict=True):
            if weight.dtype.kind == "f":
                average.assign(average + (weight - average) / self.count)

    def on_train_end(self, logs: Any = None) -> None:
        assert self.averages is not None
        self.model.set_weights([each.numpy() for each in self.averages])


@pytest.mark.soak
@pytest.mark.parametrize("later", [False, True])
def test_variables_of_callbacks_stay_variables(engine: kerasx.Engine, later: bool) -> None:
    whole = outcome(engine.train(experiment(callbacks=[Averages(later=later)])))
    directory = interrupted(engine, 2 * STEPS + 5, callbacks=[Averages(later=later)])
    assert outcome(resumed(engine, directory, callbacks=[Averages(later=later)])) == whole


Record = collections.namedtuple("Record", "epoch loss")


@dataclasses.dataclass
class Best:
    """Of a callback."""

    epoch: int
    loss: float


class Kinds(keras.callbacks.Callback):
    """Sets the learning rate by values that are there only later, each of another kind."""

    losses: list[float] = []  # noqa: RUF012 - of the class, as users have it

    def __init__(self) -> None:
        super().__init__()
        self.state: dict[str, Any] = {"recent": collections.deque(maxlen=2)}
        self.phase = "warm-up"
        self.log: list[Record] = []
        self.best: Best | None = None
        self.seen: set[int] | None = None
        self.counts: Any = None
        self.same = self.log

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.losses.append(logs["loss"])
        self.state["recent"].append(logs["loss"])
        self.phase = "cosine/linear"
        self.log.append(Record(epoch, logs["loss"]))
        self.best = self.best or Best(epoch, logs["loss"])
        self.seen = self.seen or set()
        self.seen.add(epoch % 2)
        self.counts = self.counts or collections.defaultdict(int)
        self.counts[self.phase] += 1
        self.set_rate()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.phase == "cosine/linear":
            self.set_rate()

    def set_rate(self) -> None:
        assert self.best is not None
        assert self.seen is not None
        factor = sum(self.state["recent"]) + self.log[-1].loss + self.best.loss + self.best.epoch
        factor += len(self.same) + len(self.seen) + self.counts["cosine/linear"] + len(self.losses)
        self.model.optimizer.learning_rate = 0.001 * factor


def test_what_callbacks_hold_keeps_its_kind(engine: kerasx.Engine) -> None:
    def anew() -> list[Any]:
        Kinds.losses.clear()
        return [Kinds()]

    whole = outcome(engine.train(experiment(callbacks=anew())))
    directory = interrupted(engine, 2 * STEPS + 5, callbacks=anew())
    assert outcome(resumed(engine, directory, callbacks=anew())) == whole
    assert "no checkpoint" not in (directory / "train.log").read_text()


@pytest.mark.soak
def test_what_functions_close_over_is_remembered(engine: kerasx.Engine) -> None:
    def anew() -> list[Any]:
        asked: list[float] = []
        factor = 1.0

        def schedule(epoch: int, rate: float) -> float:
            nonlocal factor
            factor *= 0.7
            asked.append(rate)
            return 0.02 * factor / len(asked)

        return [keras.callbacks.LearningRateScheduler(schedule)]

    whole = outcome(engine.train(experiment(callbacks=anew())))
    directory = interrupted(engine, 2 * STEPS, callbacks=anew())
    assert outcome(resumed(engine, directory, callbacks=anew())) == whole


class ComesToHold(keras.callbacks.Callback):
    """Holds something that no checkpoint keeps once an epoch has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: Any = None
        self.tool: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        self.tool = lambda: 1  # each time anew

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.tokens = self.tokens or iter([1, 2, 3])


@pytest.mark.soak
def test_what_is_first_dropped_later_is_said_once(engine: kerasx.Engine) -> None:
    run = engine.train(experiment(callbacks=[ComesToHold()]))
    log = (run.directory / "train.log").read_text()
    assert log.count("the callback ComesToHold has come to hold `tokens`, which no checkpoint can keep") == 1


def test_only_paths_in_the_run_are_not_remembered(tmp_path: Path) -> None:
    from kerasx.checkpoint.held import Holding

    callback = keras.callbacks.Callback.__new__(ComesToHold)
    callback.phase, callback.path = "cosine/linear", str(tmp_path / "x.csv")
    held = Holding({}, {}, tmp_path).of_callback(callback)
    assert list(held) == ["phase"]


class Changes(keras.callbacks.Callback):
    """Changes what eager steps read each time."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == 0:
            self.model.layers[1].trainable = False
            self.model.layers[3].rate = 0.6


class Counts(TwoOptimizers):
    """Counts in a plain attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def counted(self) -> int:
        self.count += 1
        return self.count

    def train_step(self, data: Any) -> Any:
        kernel = self.net.layers[1].kernel
        kernel.assign(kernel * (0.9 if self.counted() % 4 == 0 else 1.0))
        return super().train_step(data)


class Counter(tf.Module):
    """Beside what TensorFlow gives it."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0


class Slotted:
    """Has no dictionary."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Named:
    """Has its own answer to names that it does not have, which is not Python's."""

    def __init__(self) -> None:
        self.values = {"count": 0}

    def __getattr__(self, name: str) -> Any:
        return self.__dict__["values"][name]


class Holdings(Counts):
    """Counts in everything that a model may hold, under two names too, and beside what it must not lose."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = [keras.layers.Dense(2), "text"]
        self.seen: dict[str, Any] = {"steps": [], "last": ("none", 0)}
        self.seen["model"] = self.seen
        object.__setattr__(self.net.layers[1], "shared", self.seen["steps"])  # Keras would copy it
        self.recent = OrderedDict({0: 0, 1: 0, 2: 0})
        self.counts: dict[str, Any] = {}
        self.counts["each"] = defaultdict(int)  # not as it is made, where Keras would make a dict of it
        self.numbers = [np.float32(0)]
        self.array, self.scalar, self._hidden = np.zeros(3), np.float32(1), 0
        self.spec, self.counter = keras.InputSpec(ndim=2), Counter()
        self.slotted = self.same = Slotted()
        self.named = Named()
        self.filled = np.zeros(3)
        self.view = self.filled[1:]
        self.small, self.big = keras.layers.Dense(2), keras.layers.Dense(3)
        self.active = self.small
        self.distinct: set[int] = set()
        self.window: deque[int] = deque(maxlen=3)

    def counted(self) -> int:
        self.seen["steps"].append(len(self.seen["steps"]))
        self.seen["last"] = ("step", self.seen["last"][1] + 1)
        count = len(self.net.layers[1].shared)
        assert self.seen["model"]["last"][1] == count
        self.recent[count % 3] = count
        self.recent.move_to_end(count % 3)
        assert list(self.recent)[-1] == count % 3
        self.counts["each"][count % 2] += 1
        self.numbers.append(np.float32(count))
        self.array, self.scalar, self._hidden = self.array + 1, self.scalar + np.float32(1), self._hidden + 1
        assert self.active is (self.small if count % 2 else self.big)
        self.active = self.big if count % 2 else self.small
        if count == 1:
            self.window_of_all: list[int] = []
            object.__setattr__(self, "all", self.window_of_all)
        self.all.append(count)
        self.slotted.count += 1
        self.named.values["count"] += 1
        self.filled += 1
        self.counter.count += 1
        self.distinct.add(count)
        self.window.append(count)
        self.blocks[1] = f"text {count}"
        assert isinstance(self.blocks[0], keras.layers.Dense)
        counts = (
            sum(self.counts["each"].values()),
            len(self.numbers) - 1,
            self.array[2],
            self.scalar - 1,
            self._hidden,
            len(self.distinct),
            self.counter.count,
            len(self.window_of_all),
            self.same.count,
            self.named.count,
            self.view[0],
            self.window[-1],
        )
        assert set(counts) == {count}
        return count


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"callbacks": [Changes()]}, id="layers", marks=pytest.mark.soak),
        pytest.param({"model": Counts}, id="model", marks=pytest.mark.soak),
        pytest.param({"model": Holdings}, id="holdings"),
    ],
)
def test_attributes_that_eager_steps_read_are_kept(engine: kerasx.Engine, values: dict[str, Any]) -> None:
    values = {"execution": "eager", "optimizer": "sgd", "strategy": "compiled-fit", "callbacks": [], **values}
    whole = engine.train(experiment(**values))
    assert "no checkpoint can keep" not in (whole.directory / "train.log").read_text()
    directory = interrupted(engine, STEPS + 5, **values)
    assert outcome(resumed(engine, directory, **values)) == outcome(whole)


class HoldsAnIterator(Counts):
    """And comes to hold another one."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = iter([1, 2, 3])

    def counted(self) -> int:
        self.more = iter([1, 2, 3])
        return super().counted()


def test_attributes_that_cannot_be_kept_are_said(engine: kerasx.Engine) -> None:
    values = {
        "model": HoldsAnIterator,
        "strategy": "compiled-fit",
        "callbacks": [],
        "epochs": 2,
        "optimizer": "sgd",
    }
    log = (engine.train(experiment(execution="eager", **values)).directory / "train.log").read_text()
    assert log.count("holds `tokens`, which no checkpoint can keep") == 1
    assert log.count("has come to hold `more`, which no checkpoint can keep") == 1
    log = (engine.train(experiment(execution="graph", **values)).directory / "train.log").read_text()
    assert "no checkpoint can keep" not in log  # nor would it be read


@pytest.mark.parametrize("kind", [keras.layers.GRU, keras.layers.Bidirectional])
def test_what_keras_sets_is_none_of_users_attributes(kind: Any) -> None:
    layer = kind(4) if kind is keras.layers.GRU else kind(keras.layers.GRU(4))
    inputs = keras.Input((8, 1))
    outputs = keras.layers.Dense(1)(keras.layers.BatchNormalization()(layer(inputs)))
    model = keras.Model(inputs, outputs)
    model.compile("adam", "mse", metrics=["mae"], run_eagerly=True)
    model.fit(np.ones((4, 8, 1)), np.ones((4, 1)), verbose=0)
    model.mine = 3
    kept = attributes(model, Holding({}))
    assert kept == [{"mine": 3}, *({} for _ in kept[1:])]


@pytest.mark.soak
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


class Draws(keras.Model):
    """Draws in its call, as an autoencoder may."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def call(self, x: Any, training: bool = False) -> Any:
        return self.net(x + tf.random.normal(tf.shape(x)), training=training)


class Noise(keras.layers.Layer):
    """Draws."""

    def call(self, x: Any) -> Any:
        return x + tf.random.normal(tf.shape(x))


def drawing_model() -> keras.Model:
    model = Draws()
    model.build((None, 8))
    return model


def drawing_lambda() -> keras.Model:
    noise = keras.layers.Lambda(lambda x: x + tf.random.normal(tf.shape(x)))
    return keras.Sequential([keras.Input((8,)), noise, keras.layers.Dense(3, activation="softmax")])


def drawing_within() -> keras.Model:
    inner = keras.Sequential([keras.Input((8,)), Noise()])
    return keras.Sequential([keras.Input((8,)), inner, keras.layers.Dense(3, activation="softmax")])


def drawing_loss(y: Any, y_pred: Any) -> Any:
    return keras.losses.sparse_categorical_crossentropy(y, y_pred) * (1 + tf.random.uniform(()))


@pytest.mark.soak
@pytest.mark.parametrize(
    "values",
    [{"model": drawing_model}, {"model": drawing_lambda}, {"model": drawing_within}, {"loss": drawing_loss}],
    ids=["model", "lambda", "within", "loss"],
)
def test_draws_of_code_of_users_are_said_when_the_run_starts(
    engine: kerasx.Engine, values: dict[str, Any]
) -> None:
    run = engine.train(experiment(strategy="compiled-fit", callbacks=[], epochs=1, **values))
    assert "what the step draws from tf.random, if it does" in (run.directory / "train.log").read_text()


@pytest.mark.soak
def test_nothing_is_said_of_what_is_kerass(engine: kerasx.Engine) -> None:
    run = engine.train(experiment(strategy="compiled-fit", epochs=1))
    assert "tf.random" not in (run.directory / "train.log").read_text()


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


@pytest.mark.soak
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


@pytest.mark.soak
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
