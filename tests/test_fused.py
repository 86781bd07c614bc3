"""Many steps in one call: the bits, callbacks and records of one step a call, and what stands in for it."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

STRATEGIES = ("custom-step", "gradient-tape")
# The last of the five batches of an epoch has 3 rows, the last of validation's two 4.
ROWS, VALIDATION_ROWS, BATCH, SEED = 35, 12, 8, 5
GENERATOR = np.random.default_rng(3)
X = GENERATOR.normal(size=(64, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int64") + (X[:, 1] > 0)


def linear() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


def dropping() -> keras.Model:
    """Draws random numbers in every step."""
    return keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(3)])


def data(rows: int = ROWS) -> Any:
    return (X[:rows], Y[:rows]), (X[-VALIDATION_ROWS:], Y[-VALIDATION_ROWS:])


def unvalidated() -> Any:
    return X[:ROWS], Y[:ROWS]


def varying() -> Any:
    """A pipeline that does not tell how many rows a batch has."""
    return tf.data.Dataset.from_tensor_slices((X[:ROWS], Y[:ROWS])).batch(BATCH)


def varying_too() -> Any:
    """Arrays, validated on such a pipeline."""
    return (X[:ROWS], Y[:ROWS]), varying()


def crossentropy() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


# Tracing is what training costs here: only where it counts there are validation, slots and metrics.
WHOLE: dict[str, Any] = {
    "dataset": data,
    "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9},
    "metrics": ["accuracy"],
}


def train(runs: Path, **values: Any) -> kerasx.Run:
    fields = {
        "model": linear,
        "dataset": unvalidated,
        "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
        "metrics": [],
        "epochs": 2,
        "batch_size": BATCH,
        "seed": SEED,
        "strategy": "custom-step",
        "execution": "fused",
        "jit": False,
    }
    return kerasx.Engine(runs=runs).train(**{**fields, **values})


def outcome(run: kerasx.Run) -> tuple[Any, ...]:
    return run.weights_digest, run.history, run.evaluation, run.steps


def with_step(strategy: str, step: Any, test_step: Any = None) -> dict[str, Any]:
    return {"name": strategy, "step": step, **({} if test_step is None else {"test_step": test_step})}


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> kerasx.Run:
    """One step a call."""
    return train(tmp_path_factory.mktemp("graph"), execution="graph", **WHOLE)


# --- the same bits -----------------------------------------------------------------------------------


@settings(max_examples=2)
@given(st.integers(1, 40), st.integers(1, 16), st.sampled_from([1, 2, 3, 100]), st.sampled_from(STRATEGIES))
@example(35, 8, 2, "custom-step")  # the short last batch is in a call with another
@example(33, 8, 4, "gradient-tape")  # ... in a call of its own
@example(5, 8, 3, "custom-step")  # fewer rows than a batch
def test_the_bits_are_those_of_one_step_a_call(
    tmp_path_factory: pytest.TempPathFactory, rows: int, size: int, per_call: int, strategy: str
) -> None:
    values = {**WHOLE, "dataset": data(rows), "batch_size": size, "strategy": strategy}
    runs = tmp_path_factory.mktemp("runs")
    fused = train(runs, steps_per_call=per_call, **values)
    assert (fused.execution, fused.jit, fused.experiment.steps_per_call) == ("fused", False, per_call)
    assert outcome(fused) == outcome(train(runs, execution="graph", **values))
    assert fused.steps == 2 * -(-rows // size)


COMPILED = {
    "short last batch": (unvalidated(), 2, STRATEGIES),
    "one call": (((X[:32], Y[:32]), (X[:16], Y[:16])), 64, ("custom-step",)),
}


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_bits_are_those_of_one_compiled_step_a_call(name: str, tmp_path: Path) -> None:
    """XLA computes another dropout than TensorFlow, so that it has to be in both."""
    dataset, per_call, strategies = COMPILED[name]
    values: dict[str, Any] = {"model": dropping, "dataset": dataset, "jit": True}
    expected = outcome(train(tmp_path, execution="graph", **values))
    for strategy in strategies:
        run = train(tmp_path, strategy=strategy, steps_per_call=per_call, **values)
        assert (run.execution, run.jit) == ("fused", True)
        assert outcome(run) == expected, strategy


def test_fused_with_jit_is_the_default_and_is_recorded(tmp_path: Path) -> None:
    """The file of the run is enough to train it again in the same way."""
    here = f"{__file__}:"
    values = {"model": f"{here}linear", "dataset": f"{here}unvalidated", "execution": None, "jit": None}
    run = train(tmp_path, **values)
    record = json.loads((run.directory / "environment.json").read_text())
    summary = json.loads((run.directory / "summary.json").read_text())
    assert (run.execution, run.jit) == ("fused", True)
    assert (record["execution"], record["jit"]) == (summary["execution"], summary["jit"]) == ("fused", True)
    assert run.compile_seconds > 0
    kept = kerasx.Experiment.from_toml(run.directory / "experiment.toml")
    assert (kept.execution, kept.jit) == ("fused", True)
    assert kept.steps_per_call == run.experiment.steps_per_call
    again = kerasx.Engine(runs=tmp_path).train(kept)
    assert (again.execution, again.jit, outcome(again)) == ("fused", True, outcome(run))


def test_the_other_strategy_and_no_jit_are_no_other_default(tmp_path: Path) -> None:
    run = train(tmp_path, strategy="gradient-tape", execution=None)
    assert (run.execution, run.jit) == ("fused", False)
    # Asked for, jit is on where a strategy is fused by itself, and off in Keras's own.
    run = train(tmp_path, strategy="compiled-fit", jit=None)
    assert (run.execution, run.jit) == ("fused", False)
    assert train(tmp_path, strategy="compiled-fit", execution=None, jit=None).execution == "graph"


@pytest.mark.parametrize("per_call", [2, 100])
def test_keras_fuses_its_own_steps(per_call: int, graph: kerasx.Run, tmp_path: Path) -> None:
    """`compiled-fit` leaves it to Keras's `steps_per_execution`."""
    seen = []

    class Seen(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            seen.append(self.model.steps_per_execution)

    run = train(tmp_path, strategy="compiled-fit", steps_per_call=per_call, callbacks=[Seen()], **WHOLE)
    assert outcome(run) == outcome(graph)
    assert seen == [per_call]


def test_a_rate_that_a_callback_changes_acts_in_the_next_epoch(tmp_path: Path) -> None:
    """Nothing of the optimizer is compiled in."""

    def schedule(epoch: int, rate: float) -> float:
        return rate / (epoch + 1)

    def callbacks() -> list[Any]:
        return [keras.callbacks.LearningRateScheduler(schedule)]

    expected = outcome(train(tmp_path, execution="graph", callbacks=callbacks()))
    assert expected[0] != train(tmp_path).weights_digest
    for strategy in STRATEGIES:
        run = train(tmp_path, strategy=strategy, callbacks=callbacks())
        assert outcome(run) == expected, strategy


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_evaluating_a_run_gives_its_evaluation(strategy: str, tmp_path: Path) -> None:
    values = {**WHOLE, "model": f"{__file__}:linear", "dataset": f"{__file__}:data", "strategy": strategy}
    run = train(tmp_path, **values, steps_per_call=2)
    assert run.evaluation["loss"] == run.history["val_loss"][-1]
    assert kerasx.Engine(runs=tmp_path).evaluate(run) == run.evaluation


def test_a_dry_run_takes_one_fused_batch(tmp_path: Path) -> None:
    engine = kerasx.Engine(runs=tmp_path / "runs")
    tried = engine.dry_run(model=linear, dataset=data, loss=crossentropy(), execution="fused", jit=False)
    assert set(tried.logs) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert not (tmp_path / "runs").exists()


# --- callbacks ---------------------------------------------------------------------------------------


class Batches(keras.callbacks.Callback):
    """Writes down the numbers of batches, and the logs at their ends."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, int]] = []
        self.logs: dict[int, dict[str, float]] = {}

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.events.append(("begin", batch))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.events.append(("end", batch))
        self.logs[batch] = {name: float(value) for name, value in logs.items()}

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.events.append(("test begin", batch))

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.events.append(("test end", batch))


def calls(steps: int, per_call: int, *names: str) -> list[tuple[str, int]]:
    """The events of an epoch: the first and the last batch of each call."""
    found = []
    for first in range(0, steps, per_call):
        found += [(names[0], first), (names[1], min(first + per_call, steps) - 1)]
    return found


@pytest.fixture(scope="module")
def every_batch(tmp_path_factory: pytest.TempPathFactory) -> Batches:
    seen = Batches()
    train(tmp_path_factory.mktemp("every"), execution="graph", epochs=1, callbacks=[seen], **WHOLE)
    return seen


@pytest.mark.parametrize("per_call", [1, 2, 100])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_batch_events_tell_the_first_and_the_last_batch_of_a_call(
    strategy: str, per_call: int, every_batch: Batches, tmp_path: Path
) -> None:
    seen = Batches()
    values = {**WHOLE, "strategy": strategy, "steps_per_call": per_call, "epochs": 1}
    run = train(tmp_path, **values, callbacks=[seen])
    assert seen.events == [
        *calls(5, per_call, "begin", "end"),
        *calls(2, per_call, "test begin", "test end"),
    ]
    assert seen.logs == {batch: every_batch.logs[batch] for batch in seen.logs}
    assert run.steps == 5
    if per_call == 1:
        assert seen.events == every_batch.events


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_steps_a_call_are_left_to_the_length_of_the_epoch(strategy: str, tmp_path: Path) -> None:
    """Ten calls an epoch, but for short ones, in which a call has 64 steps at the least."""
    seen = Batches()
    arrays = np.zeros((1300, 4), "float32"), np.zeros(1300, "int64")
    values = {"dataset": arrays, "batch_size": 2, "epochs": 1}
    run = train(tmp_path, strategy=strategy, callbacks=[seen], **values)
    assert seen.events == calls(650, 65, "begin", "end")
    assert (run.experiment.steps_per_call, run.steps) == (65, 650)
    assert train(tmp_path, strategy=strategy, epochs=1).experiment.steps_per_call == 64


def own_results(model: keras.Model, x: Any, y: Any) -> tuple[dict[str, float], Any]:
    """Computed with NumPy, from the weights of the linear model."""
    kernel, bias = (np.asarray(weight, "float64") for weight in model.get_weights())
    logits = x @ kernel + bias
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]
    return {"loss": losses.mean(), "accuracy": (logits.argmax(axis=1) == y).mean()}, logits


def test_a_callback_evaluates_and_predicts_with_data_of_its_own(graph: kerasx.Run, tmp_path: Path) -> None:
    """Keras's own functions do, in the middle of a `fit` whose functions are others."""
    results = []
    x, y = X[40:61], Y[40:61]

    class Evaluation(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            pairs = tf.data.Dataset.from_tensor_slices((x, y)).batch(5)
            for rows in ({"x": x, "y": y, "batch_size": 8}, {"x": pairs}):
                found = self.model.evaluate(**rows, verbose=0, return_dict=True)
                results.append((found, self.model.predict(x, verbose=0), own_results(self.model, x, y)))

    run = train(tmp_path, steps_per_call=2, callbacks=[Evaluation()], **WHOLE)
    assert len(results) == 4
    for found, predicted, (expected, logits) in results:
        assert found == pytest.approx(expected, rel=1e-5)
        np.testing.assert_allclose(predicted, logits, rtol=1e-4, atol=1e-5)
    assert outcome(run) == outcome(graph)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_training_stops_after_the_call_in_which_it_was_asked_to(strategy: str, tmp_path: Path) -> None:
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = True

    for per_call, steps in ((2, 2), (100, 5)):
        run = train(tmp_path, strategy=strategy, steps_per_call=per_call, callbacks=[Stop()])
        assert (run.steps, len(run.history["loss"])) == (steps, 1)
        assert int(run.model.optimizer.iterations) == steps


def test_early_stopping_ends_training(tmp_path: Path) -> None:
    stopping = {"name": "early_stopping", "monitor": "loss", "patience": 1, "min_delta": 99.0}
    run = train(tmp_path, epochs=9, callbacks=[stopping])
    assert (len(run.history["loss"]), run.steps) == (2, 10)


def test_callbacks_are_told_of_steps_inside_a_call(tmp_path: Path) -> None:
    """So that progress can be shown although one call takes all of an epoch."""
    told: dict[str, list[int]] = {}

    class Told(keras.callbacks.Callback):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.seen = told.setdefault(name, [])

        def on_steps(self, steps: int) -> None:
            self.seen.append(steps)

    for strategy in STRATEGIES:
        train(tmp_path, strategy=strategy, epochs=1, callbacks=[Told(strategy)])
    for strategy, seen in told.items():
        assert seen == sorted(set(seen)), strategy
        assert seen[-1] == 5, strategy


# --- steps of the user's -----------------------------------------------------------------------------


def counted_step(model: keras.Model, batch: Any) -> Any:
    logs = dict(kerasx.train_step(model, batch))
    return {**logs, "norm": keras.ops.norm(model.trainable_variables[0]), "half": 0.5, "whole": 3}


def counted_test_step(model: keras.Model, batch: Any) -> Any:
    return {**kerasx.test_step(model, batch), "half": 0.25}


class Own(keras.Sequential):
    """Steps with halved gradients."""

    def train_step(self, data: Any) -> Any:
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred, weight) / 2
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        return {"mine": loss, **self.compute_metrics(x, y, y_pred, sample_weight=weight)}

    def test_step(self, data: Any) -> Any:
        return {**super().test_step(data), "tested": 1.5}


def own() -> keras.Model:
    return Own([keras.Input((4,)), keras.layers.Dense(3)])


def test_a_models_own_steps_are_fused(tmp_path: Path) -> None:
    """With the keys that they add to the logs, of which some are plain numbers."""
    expected = train(tmp_path, model=own, dataset=data, execution="graph")
    run = train(tmp_path, model=own, dataset=data, steps_per_call=2)
    assert run.execution == "fused"
    assert outcome(run) == outcome(expected)
    assert {"mine", "val_tested"} <= set(run.history)
    assert run.history["val_tested"] == [1.5, 1.5]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_named_steps_are_fused(strategy: str, tmp_path: Path) -> None:
    steps = f"{__file__}:counted_step", f"{__file__}:counted_test_step"
    values: dict[str, Any] = {"strategy": with_step(strategy, *steps), "dataset": data}
    expected = train(tmp_path, **values, execution="graph")
    run = train(tmp_path, **values, steps_per_call=3)
    assert run.execution == "fused"
    assert outcome(run) == outcome(expected)
    assert (run.history["half"], run.history["whole"]) == ([0.5, 0.5], [3, 3])
    assert run.history["val_half"] == [0.25, 0.25]
    assert run.evaluation["half"] == 0.25
    assert "norm" in run.history


# --- what stands in ----------------------------------------------------------------------------------


def python_step(model: keras.Model, batch: Any) -> Any:
    logs = dict(kerasx.train_step(model, batch))
    return {**logs, "drawn": tf.ensure_shape(tf.py_function(lambda: 2.0, [], tf.float32), [])}


def numpy_step(model: keras.Model, batch: Any) -> Any:
    logs = dict(kerasx.train_step(model, batch))
    return {**logs, "drawn": tf.ensure_shape(tf.numpy_function(lambda: np.float32(2), [], tf.float32), [])}


def python_test_step(model: keras.Model, batch: Any) -> Any:
    logs = dict(kerasx.test_step(model, batch))
    return {**logs, "drawn": tf.ensure_shape(tf.py_function(lambda: 2.0, [], tf.float32), [])}


def looking_step(model: keras.Model, batch: Any) -> Any:
    logs = kerasx.train_step(model, batch)
    if logs["loss"] > 1e9:
        raise RuntimeError("too much")
    return logs


def converting_step(model: keras.Model, batch: Any) -> Any:
    logs = dict(kerasx.train_step(model, batch))
    return {**logs, "drawn": float(logs["loss"].numpy())}


def rowwise_step(model: keras.Model, batch: Any) -> Any:
    logs = kerasx.train_step(model, batch)
    return {**logs, "rows": tf.reduce_sum(model(batch[0]), axis=1)}


def nothing_step(model: keras.Model, batch: Any) -> Any:
    return {**kerasx.train_step(model, batch), "nothing": None}


def notes_on(run: kerasx.Run, word: str) -> list[str]:
    return [note for note in run.notes if word in note]


@pytest.mark.parametrize(
    ("strategy", "dataset", "steps"),
    [
        ("custom-step", "unvalidated", {"step": "python_step"}),
        ("gradient-tape", "unvalidated", {"step": "numpy_step"}),
        ("custom-step", "varying", {"step": "numpy_step"}),
        ("gradient-tape", "varying_too", {"test_step": "python_test_step"}),
    ],
)
def test_a_step_that_xla_cannot_compile_leaves_jit_out(
    strategy: str, dataset: str, steps: dict[str, str], tmp_path: Path
) -> None:
    """Also where no shape is known before the first batch, and where it is the test step alone."""
    here = f"{__file__}:"
    named = {name: f"{here}{step}" for name, step in steps.items()}
    values = {
        "model": f"{here}linear",
        "dataset": f"{here}{dataset}",
        "strategy": {"name": strategy, **named},
        "epochs": 1,
    }
    run = train(tmp_path, **values, execution=None, jit=None)
    assert (run.execution, run.jit) == ("fused", False)
    (note,) = notes_on(run, "XLA")
    assert "\n" not in note
    assert "execution is fused" in note
    record = json.loads((run.directory / "environment.json").read_text())
    assert note in record["notes"]
    assert (record["execution"], record["jit"]) == ("fused", False)
    assert outcome(run) == outcome(train(tmp_path, **values, execution="graph"))


def test_what_stood_in_is_taken_again_from_the_file_of_the_run(tmp_path: Path) -> None:
    """Without another try, and without the note."""
    here = f"{__file__}:"
    values = {"model": f"{here}linear", "dataset": f"{here}unvalidated", "epochs": 1}
    step = with_step("gradient-tape", f"{here}python_step")
    run = train(tmp_path, **values, strategy=step, execution=None, jit=None)
    kept = kerasx.Experiment.from_toml(run.directory / "experiment.toml")
    assert (kept.execution, kept.jit) == ("fused", False)
    again = kerasx.Engine(runs=tmp_path).train(kept)
    assert (again.execution, again.jit, outcome(again)) == ("fused", False, outcome(run))
    assert not notes_on(again, "XLA")


@pytest.mark.parametrize(
    ("strategy", "step"), [("custom-step", "looking_step"), ("gradient-tape", "converting_step")]
)
def test_a_step_that_looks_at_values_is_executed_eagerly(strategy: str, step: str, tmp_path: Path) -> None:
    values = {
        **WHOLE,
        "model": f"{__file__}:linear",
        "dataset": f"{__file__}:unvalidated",
        "strategy": with_step(strategy, f"{__file__}:{step}"),
        "epochs": 1,
    }
    run = train(tmp_path, **values, execution=None, jit=None)
    assert (run.execution, run.jit, run.experiment.steps_per_call) == ("eager", False, None)
    (note,) = notes_on(run, "the execution is eager")
    assert "\n" not in note
    assert run.steps == 5
    kept = kerasx.Experiment.from_toml(run.directory / "experiment.toml")
    again = kerasx.Engine(runs=tmp_path).train(kept)
    assert (again.execution, again.jit, outcome(again)) == ("eager", False, outcome(run))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_step_whose_logs_have_no_fixed_shape_is_executed_as_a_graph(strategy: str, tmp_path: Path) -> None:
    """Those of the short last batch are other than those of a full one."""

    class Seen(Batches):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.events.append(("rows", len(logs["rows"])))

    seen = Seen()
    values: dict[str, Any] = {"dataset": unvalidated(), "epochs": 1}
    strategy_of = with_step(strategy, rowwise_step)
    run = train(tmp_path, **values, strategy=strategy_of, execution=None, jit=None, callbacks=[seen])
    assert (run.execution, run.experiment.steps_per_call) == ("graph", None)
    (note,) = notes_on(run, "the execution is graph")
    assert "`rows`" in note
    assert [event for event in seen.events if event[0] == "rows"] == [("rows", 8)] * 4 + [("rows", 3)]
    with pytest.raises(kerasx.UsageError, match="--execution graph"):
        train(tmp_path / "runs", **values, strategy=strategy_of)
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").iterdir())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_logs_that_are_no_numbers_are_no_trouble(strategy: str, tmp_path: Path) -> None:
    """None under a key is what the graph execution takes, too."""
    values: dict[str, Any] = {"dataset": unvalidated(), "epochs": 1}
    expected = train(tmp_path, **values, strategy=with_step(strategy, nothing_step), execution="graph")
    run = train(tmp_path, **values, strategy=with_step(strategy, nothing_step), execution=None)
    assert run.weights_digest == expected.weights_digest


def failing_step(model: keras.Model, batch: Any) -> Any:
    raise RuntimeError("on purpose")


def test_a_step_that_fails_is_named_with_its_own_words(tmp_path: Path) -> None:
    for execution in (None, "fused"):
        with pytest.raises(kerasx.UsageError, match="on purpose"):
            train(tmp_path / "runs", strategy=with_step("custom-step", failing_step), execution=execution)
    assert not any((tmp_path / "runs").iterdir())


@pytest.mark.parametrize(("strategy", "dataset"), [("custom-step", unvalidated), ("gradient-tape", varying)])
def test_jit_that_was_asked_for_is_not_left_out(
    strategy: str, dataset: Callable[[], Any], tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    with pytest.raises(kerasx.UsageError, match="leave --jit out"):
        train(runs, dataset=dataset, strategy=with_step(strategy, python_step), jit=True)
    assert not runs.exists() or not any(runs.iterdir())


def test_steps_a_call_are_for_fused_execution_alone(tmp_path: Path) -> None:
    for execution in ("graph", "eager"):
        with pytest.raises(kerasx.UsageError, match="steps-per-call"):
            train(tmp_path, execution=execution, steps_per_call=5)
    with pytest.raises(kerasx.UsageError, match="steps-per-call"):
        train(tmp_path, strategy="compiled-fit", execution=None, steps_per_call=5)


def test_several_devices_are_a_graph(tmp_path: Path) -> None:
    """By default; fused is refused. Devices are made by the first run of a process."""
    program = (
        "import numpy as np, kerasx\n"
        "values = dict(model={'name': 'mlp', 'hidden': [], 'outputs': 1}, loss='mse', epochs=1, devices=2,\n"
        "    dataset=(np.ones((16, 2), 'float32'), np.ones((16, 1), 'float32')))\n"
        f"engine = kerasx.Engine(runs={str(tmp_path)!r})\n"
        "run = engine.train(**values)\n"
        "print(run.execution, run.jit)\n"
        "try:\n    engine.train(**values, execution='fused')\n"
        "except kerasx.UsageError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    first, second = done.stdout.splitlines()
    assert first == "graph False"
    assert "fused" in second


def printing_step(model: keras.Model, batch: Any) -> Any:
    tf.print("a batch", output_stream="file:///dev/null")
    return kerasx.train_step(model, batch)


def test_the_note_on_a_fallback_names_the_operation_shortly(tmp_path: Path) -> None:
    """Also where no shape is known before the first batch, and XLA refuses the step in other words."""
    for dataset in (unvalidated, varying):
        strategy = with_step("custom-step", printing_step)
        run = train(tmp_path, dataset=dataset, strategy=strategy, execution=None, jit=None, epochs=1)
        assert (run.execution, run.jit) == ("fused", False)
        (note,) = notes_on(run, "XLA")
        assert "PrintV2" in note
        assert len(note) < 160


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_optimizer_of_the_user_stays_the_models_after_a_fallback(strategy: str, tmp_path: Path) -> None:
    optimizer = keras.optimizers.Adam(0.01)
    model = linear()
    model.compile(optimizer, crossentropy())
    step = with_step(strategy, printing_step)
    values = {**BROUGHT, "dataset": unvalidated(), "strategy": step, "execution": None, "jit": None}
    run = train(tmp_path, model=model, **values)
    assert (run.execution, run.jit) == ("fused", False)
    assert model.optimizer is optimizer
    assert run.model.optimizer is optimizer
    assert int(optimizer.iterations) == run.steps == 10
    train(tmp_path, model=model, **values)
    assert int(optimizer.iterations) == 20


@pytest.mark.parametrize("step", ["printing_step", "looking_step"])
def test_a_rate_set_on_the_optimizer_of_the_user_acts_after_a_fallback(step: str, tmp_path: Path) -> None:
    """By a callback that holds the object, and knows nothing of the model's."""
    optimizer = keras.optimizers.SGD(0.5, momentum=0.9)
    model = linear()
    model.compile(optimizer, crossentropy())
    before = kerasx.weights_digest(model)

    class Still(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            optimizer.learning_rate = 0.0

    run = train(
        tmp_path,
        model=model,
        dataset=unvalidated(),
        strategy=with_step("custom-step", globals()[step]),
        execution=None,
        jit=None,
        callbacks=[Still()],
        **BROUGHT,
    )
    assert (run.execution, run.jit) != ("fused", True)
    assert run.steps == 10
    assert run.weights_digest == before


class Unwritten(keras.optimizers.schedules.LearningRateSchedule):
    """Without a `get_config`."""

    def __call__(self, step: Any) -> Any:
        return 0.1 / (1 + keras.ops.cast(step, "float32"))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_schedule_that_cannot_be_written_down_is_kept_in_a_fallback(strategy: str, tmp_path: Path) -> None:
    def scheduled() -> keras.Model:
        model = linear()
        model.compile(keras.optimizers.SGD(Unwritten()), crossentropy())
        return model

    values = {
        **BROUGHT,
        "model": scheduled,
        "dataset": unvalidated(),
        "strategy": with_step(strategy, printing_step),
    }
    run = train(tmp_path, **values, execution=None, jit=None)
    assert (run.execution, run.jit) == ("fused", False)
    assert outcome(run) == outcome(train(tmp_path, **values, execution="graph"))


class OwnOptimizer(keras.Model):
    """Trained by an optimizer of its own, which the first step builds; then the step looks at a value."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.own_optimizer = keras.optimizers.Adam(0.01)
        self.mean = keras.metrics.Mean(name="own_loss")

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)

    @property
    def metrics(self) -> list[Any]:
        return [self.mean]

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x)[:, 0] - tf.cast(y, tf.float32)) ** 2)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.own_optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.mean.update_state(loss)
        return {"own_loss": self.mean.result(), "seen": float(loss)}


@pytest.mark.parametrize("form", ["a function", "an object"])
def test_a_model_with_an_optimizer_of_its_own_falls_back_to_eager_unharmed(form: str, tmp_path: Path) -> None:
    def trained(**values: Any) -> kerasx.Run:
        keras.utils.set_random_seed(SEED)
        model = OwnOptimizer()
        if form == "an object":
            model(X[:1])
        return train(
            tmp_path,
            model=OwnOptimizer if form == "a function" else model,
            dataset=unvalidated(),
            loss="mse",
            **values,
        )

    run = trained(execution=None, jit=None)
    assert run.execution == "eager"
    assert outcome(run) == outcome(trained(execution="eager"))
    assert int(run.model.own_optimizer.iterations) == run.steps == 10


def late_looking_step(model: keras.Model, batch: Any) -> Any:
    """After the metrics were computed, whose states it has made."""
    x, y = batch
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    logs = model.compute_metrics(x, y, y_pred)
    return {**logs, "seen": float(loss)}


@pytest.mark.parametrize("form", ["named", "compiled"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_step_that_looks_at_a_value_at_its_end_trains_as_eagerly_as_asked_for(
    strategy: str, form: str, tmp_path: Path
) -> None:
    """What the trace left behind of optimizers and metrics is used as if it were new."""
    names = ["accuracy", "SparseTopKCategoricalAccuracy"]

    def whole() -> keras.Model:
        model = linear()
        model.compile(keras.optimizers.Adam(0.01), crossentropy(), metrics=names)
        return model

    values = {"dataset": unvalidated(), "strategy": with_step(strategy, late_looking_step)}
    if form == "compiled":
        values |= {**BROUGHT, "model": whole}
    else:
        values |= {"optimizer": "adam", "metrics": names}
    run = train(tmp_path, **values, execution=None, jit=None)
    assert run.execution == "eager"
    assert outcome(run) == outcome(train(tmp_path, **values, execution="eager"))


def measuring() -> Any:
    """A step that makes a metric when it is first called, and looks at its result."""
    made: list[keras.metrics.Metric] = []

    def measuring_step(model: keras.Model, batch: Any) -> Any:
        logs = kerasx.train_step(model, batch)
        if not made:
            made.append(keras.metrics.Mean())
        made[0].update_state(logs["loss"])
        return {**logs, "mean": float(made[0].result())}

    return measuring_step


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_metric_that_a_step_makes_counts_from_nothing_after_a_fallback(
    strategy: str, tmp_path: Path
) -> None:
    run = train(tmp_path, strategy=with_step(strategy, measuring()), execution=None, jit=None)
    assert run.execution == "eager"
    eager = train(tmp_path, strategy=with_step(strategy, measuring()), execution="eager")
    assert outcome(run) == outcome(eager)
    assert run.history["mean"][1] != run.history["loss"][1]


def asserting_step(model: keras.Model, batch: Any) -> Any:
    tf.debugging.assert_less(tf.reduce_max(batch[0]), 50.0)
    return kerasx.train_step(model, batch)


def checking_step(model: keras.Model, batch: Any) -> Any:
    checked = tf.debugging.check_numerics(batch[0], "not a number")
    return kerasx.train_step(model, (checked, *batch[1:]))


@pytest.mark.parametrize(
    ("strategy", "step", "wrong"),
    [("custom-step", asserting_step, 99.0), ("gradient-tape", checking_step, np.nan)],
    ids=["assert_less", "check_numerics"],
)
def test_checks_that_xla_would_leave_out_are_kept(
    strategy: str, step: Any, wrong: float, tmp_path: Path
) -> None:
    x = X[:ROWS].copy()
    values: dict[str, Any] = {"dataset": (x, Y[:ROWS]), "strategy": with_step(strategy, step)}
    run = train(tmp_path, **values, execution=None, jit=None)
    assert (run.execution, run.jit) == ("fused", False)
    (note,) = notes_on(run, "XLA leaves out")
    assert "execution is fused" in note
    assert outcome(run) == outcome(train(tmp_path, **values, execution="graph"))
    for execution in ("fused", None):
        with pytest.raises(kerasx.UsageError, match="leave --jit out"):
            train(tmp_path, **values, execution=execution, jit=True)
    x[7, 2] = wrong
    with pytest.raises(kerasx.UsageError, match="Training failed"):
        train(tmp_path, **values, execution=None, jit=None)


# --- the model is left as it was ---------------------------------------------------------------------


class OwnFunction(keras.Sequential):
    def make_train_function(self, force: bool = False) -> Any:
        return super().make_train_function(force)


def own_function() -> keras.Model:
    return OwnFunction([keras.Input((4,)), keras.layers.Dense(3)])


def test_a_model_that_makes_its_own_function_is_executed_as_a_graph(
    graph: kerasx.Run, tmp_path: Path
) -> None:
    """`fit` would not call another; a loop of one's own does not care."""
    run = train(tmp_path, model=own_function, execution=None, **WHOLE)
    assert run.execution == "graph"
    (note,) = notes_on(run, "the execution is graph")
    assert "`make_train_function`" in note
    assert outcome(run) == outcome(graph)
    with pytest.raises(kerasx.UsageError, match="--execution graph"):
        train(tmp_path, model=own_function)
    other = train(tmp_path, model=own_function, strategy="gradient-tape", execution=None, **WHOLE)
    assert other.execution == "fused"
    assert outcome(other) == outcome(graph)


def state_of(model: keras.Model) -> tuple[Any, ...]:
    given = {name for name in vars(model) if name.startswith("make_")} | {"train_step", "test_step"}
    attributes = {name: vars(model)[name] for name in given & set(vars(model))}
    return model.steps_per_execution, model.jit_compile, model.run_eagerly, attributes


def compiled(**values: Any) -> keras.Model:
    model = linear()
    model.compile("sgd", crossentropy(), metrics=["accuracy"], **values)
    return model


class Breaking(keras.callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        raise ArithmeticError("on purpose")


# What a compiled model brings.
BROUGHT: dict[str, Any] = {"loss": None, "optimizer": None, "metrics": None}
FORMS: dict[str, Callable[[], keras.Model]] = {
    "plain": linear,
    "compiled": functools.partial(compiled, steps_per_execution=3),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("strategy", [*STRATEGIES, "compiled-fit"])
def test_the_model_is_left_as_it_was(strategy: str, form: str, tmp_path: Path) -> None:
    """After training and after a failure in the middle; and a plain `fit` then runs as it did before."""
    model = FORMS[form]()
    before = (1, False, False, {}) if form == "plain" else state_of(model)
    brought = {"metrics": ["accuracy"]} if form == "plain" else BROUGHT
    values = {"model": model, "strategy": strategy, "steps_per_call": 2, "epochs": 1, **brought}
    train(tmp_path, **values)
    assert state_of(model) == before
    with pytest.raises(kerasx.UsageError, match="on purpose"):
        train(tmp_path, **values, callbacks=[Breaking()])
    assert state_of(model) == before

    seen = Batches()
    taken = int(model.optimizer.iterations)
    model.fit(X[:40], Y[:40], batch_size=8, epochs=1, verbose=0, callbacks=[seen])
    assert int(model.optimizer.iterations) == taken + 5
    assert [name for name, _ in seen.events] == ["begin", "end"] * (5 if form == "plain" else 2)
    results, _ = own_results(model, X, Y)
    assert model.evaluate(X, Y, verbose=0, return_dict=True) == pytest.approx(results, rel=1e-5)


@pytest.mark.parametrize("strategy", [*STRATEGIES, "compiled-fit"])
def test_a_fit_after_training_is_executed_as_the_model_says(strategy: str, tmp_path: Path) -> None:
    """Keras keeps the function that it made, which is not to be that of the run."""
    traced = []

    class Counting(keras.Sequential):
        def train_step(self, data: Any) -> Any:
            traced.append(1)
            return super().train_step(data)

    model = Counting([keras.Input((4,)), keras.layers.Dense(3)])
    train(tmp_path, model=model, strategy=strategy, dataset=unvalidated(), execution="eager", epochs=1)
    assert len(traced) == 5
    traced.clear()
    assert not model.run_eagerly
    model.fit(X[:48], Y[:48], batch_size=8, epochs=1, verbose=0)
    assert len(traced) < 6


def test_a_model_is_left_as_it_was_where_its_execution_is_refused(tmp_path: Path) -> None:
    model = compiled(steps_per_execution=3, jit_compile=False)
    before = state_of(model)
    with pytest.raises(kerasx.UsageError, match="leave --jit out"):
        train(
            tmp_path,
            model=model,
            strategy=with_step("custom-step", python_step),
            jit=True,
            steps_per_call=2,
            **BROUGHT,
        )
    assert state_of(model) == before


def test_a_compiled_models_steps_per_execution_are_its_steps_per_call(tmp_path: Path) -> None:
    seen = Batches()
    model = compiled(steps_per_execution=3)
    run = train(tmp_path, model=model, dataset=unvalidated(), epochs=1, callbacks=[seen], **BROUGHT)
    assert run.experiment.steps_per_call == 3
    assert seen.events == calls(5, 3, "begin", "end")
