"""Loops that are hard to follow step by step, and runs of which only records are left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparing import FIELDS, working_in

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

from kerasx.parity.first_steps import Steps, take_steps  # noqa: E402
from kerasx.parity.judge import differences  # noqa: E402
from kerasx.parity.records import StepTrace, Trace  # noqa: E402
from kerasx.parity.sides import Named  # noqa: E402
from kerasx.registry import Registry  # noqa: E402

MINE = '''
import keras
import numpy as np
import tensorflow as tf

KEPT = []


def data():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(40, 6)).astype("float32")
    return {"x_train": x, "y_train": x[:, :2].copy()}


def pipeline():
    rows = data()
    return tf.data.Dataset.from_tensor_slices((rows["x_train"], rows["y_train"])).batch(16)


def build():
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(2)])


def gradients_of(model, x, y, scale=1.0):
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x=x, y=y, y_pred=model(x, training=True), training=True) * scale
    return loss, tape.gradient(loss, model.trainable_variables)


def trained(model, x, y, scale=1.0):
    loss, gradients = gradients_of(model, x, y, scale)
    model.optimizer.apply(gradients, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.get_metrics_result()


def step(model, data):
    return trained(model, *data)


def late_step(model, data):
    """Another loss from the seventh step on, in an epoch that is not looked at step by step."""
    return trained(model, *data, scale=tf.where(model.optimizer.iterations < 6, 1.0, 3.0))


def epoch_in_a_graph(model, batches):
    @tf.function
    def run(rows):
        for x, y in rows:
            trained(model, x, y)

    run(batches)
    return model.get_metrics_result()


def epoch_of_an_outer_name(model, batches):
    @tf.function
    def run():
        for x, y in batches:
            trained(model, x, y)

    run()
    return model.get_metrics_result()


def iterator_in_a_graph(model, batches):
    @tf.function
    def run(rows):
        return trained(model, *next(rows))

    iterator = iter(batches)
    for _ in range(len(batches)):
        run(iterator)
    return model.get_metrics_result()


def loop_that_keeps_its_iterator(model, batches):
    iterator = iter(batches)
    KEPT.append(iterator)
    for _ in range(len(batches)):
        trained(model, *next(iterator))
    return model.get_metrics_result()


def loop_that_gets_the_next(model, batches):
    iterator = iter(batches)
    for _ in range(len(batches)):
        trained(model, *iterator.get_next())
    return model.get_metrics_result()


def loop_that_breaks_off(model, batches):
    for number, (x, y) in enumerate(batches):
        trained(model, x, y)
        if number == 1:
            break
    return model.get_metrics_result()


def loop_that_looks_ahead(model, batches, change=lambda x: x):
    iterator = iter(batches)
    following = next(iterator, None)
    while True:
        now, following = following, next(iterator, None)
        if following is None:
            return model.get_metrics_result()
        x, y = now
        trained(model, change(x), y)


def loop_that_looks_ahead_and_changes(model, batches):
    return loop_that_looks_ahead(model, batches, lambda x: x * 1.0001)


def listed_assignments(model, batches):
    for x, y in list(batches):
        loss, gradients = gradients_of(model, x, y)
        for gradient, variable in zip(gradients, model.trainable_variables):
            variable.assign_sub(gradient * model.optimizer.learning_rate)
        model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.get_metrics_result()


def listed_doubled_assignments(model, batches):
    for x, y in list(batches):
        loss, gradients = gradients_of(model, x, y)
        for gradient, variable in zip(gradients, model.trainable_variables):
            variable.assign_sub(2 * gradient * model.optimizer.learning_rate)
        model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.get_metrics_result()
'''


@pytest.fixture(scope="module", autouse=True)
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with working_in(tmp_path_factory.mktemp("here"), MINE) as folder:
        yield folder


def compared(*names: Any, **values: Any) -> tuple[kerasx.Pair, tuple[str, ...]]:
    result = kerasx.Engine().compare(*names, **{**FIELDS, **values})
    (pair,) = result.pairs
    return pair, result.notes


def taken(loop: str, *, observes: bool = True, **values: Any) -> Steps:
    side = Named("this", kerasx.Experiment(**{**FIELDS, **values, "strategy": f"mine.py:{loop}"}))
    return take_steps(side, Registry(), observes=observes)


def steps_of(steps: Steps) -> list[int | None]:
    return [step.step for step in steps.trace.steps if step.kind == "training"]


# --- Loops ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", ["epoch_in_a_graph", "epoch_of_an_outer_name", "iterator_in_a_graph"])
def test_a_graph_over_batches_is_made_of_the_data_set_itself(loop: str) -> None:
    """Handed something that only looks like one, it was unrolled for ever."""
    executed = taken(loop, observes=False, execution="graph")
    assert "in a graph" in (executed.slipped or "")
    assert not executed.has_training
    traced = taken(loop)
    assert (traced.slipped, steps_of(traced)) == (None, [0, 1, 2])


def test_an_epoch_in_a_graph_is_judged_by_its_stages_and_its_end() -> None:
    pair, notes = compared("compiled-fit", "mine.py:epoch_in_a_graph", execution=None)
    assert pair.agrees, pair.said
    assert not notes or any("in a graph" in note for note in notes)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("loop", "steps"),
    [
        ("loop_that_keeps_its_iterator", [0, 1, 2]),
        ("loop_that_gets_the_next", [0, 1, 2]),
        ("loop_that_breaks_off", [0, 1]),
    ],
)
def test_each_step_ends_however_a_loop_leaves_off(loop: str, steps: list[int]) -> None:
    taken_steps = taken(loop, epochs=2)
    assert taken_steps.slipped is None
    assert steps_of(taken_steps) == [*steps, *steps]
    training = [step for step in taken_steps.trace.steps if step.kind == "training"]
    assert all("tape gradient of dense/kernel" in step.records for step in training)


@pytest.mark.parametrize("loop", ["loop_that_looks_ahead", "loop_that_looks_ahead_and_changes"])
@pytest.mark.parametrize("dataset", ["data", "pipeline"])
def test_a_batch_that_was_asked_for_and_left_for_later_is_noticed(loop: str, dataset: str) -> None:
    found = taken(loop, dataset=f"mine.py:{dataset}")
    assert "before it trains" in (found.slipped or "")
    assert steps_of(found) == [0, 1]


def test_what_updates_by_assignment_out_of_step_is_judged_by_its_end() -> None:
    pair, notes = compared("custom-step", "mine.py:listed_assignments")
    assert pair.agrees, pair.said
    assert any("its steps cannot be told apart" in note for note in notes)


def test_other_assignments_out_of_step_affect_the_training() -> None:
    pair, _ = compared("custom-step", "mine.py:listed_doubled_assignments")
    assert (pair.verdict, pair.affects) == ("diverged", "training")
    assert pair.first_difference is not None
    assert pair.first_difference.stage != "data"
    assert "steps of both cannot be seen" in pair.said


# --- Alignment ------------------------------------------------------------------------------------------


def made(*steps: tuple[int, int | None, str, float]) -> Trace:
    trace = Trace("made", [StepTrace(*place) for *place, _ in steps])  # type: ignore[arg-type]
    for step, (*_, value) in zip(trace.steps, steps, strict=True):
        step.add("update", "change of it", np.float32([value]), "decides")
    return trace


def test_steps_are_compared_with_those_of_their_place_alone() -> None:
    whole = made((0, 0, "training", 1), (0, 1, "training", 2), (0, 0, "evaluation", 0), (1, 0, "training", 3))
    short = made((0, 0, "training", 1), (0, 0, "evaluation", 0), (1, 0, "training", 3))
    (found,) = differences(whole, short, {})
    assert (found.epoch, found.step, found.quantity, found.a, found.b) == (0, 1, "number of steps", 2, 1)
    (found,) = differences(short, whole, {})
    assert (found.epoch, found.step, found.a, found.b) == (0, 1, 1, 2)


def test_a_number_of_steps_is_told_unless_something_that_decides_comes_before_it() -> None:
    one = made((0, 0, "training", 1), (0, 1, "training", 2))
    assert [each.quantity for each in differences(one, made((0, 0, "training", 1)), {})] == [
        "number of steps"
    ]
    assert [each.quantity for each in differences(one, made((0, 0, "training", 5)), {})] == ["change of it"]


# --- Runs -----------------------------------------------------------------------------------------------


def test_runs_that_part_late_are_told_to_have_other_weights(here: Path) -> None:
    """Their models are kept, so that it is seen what they ended with."""
    engine = kerasx.Engine(runs=here / "late")
    runs = [
        engine.train(**{**FIELDS, "epochs": 3, "strategy": f"mine.py:{step}"})
        for step in ("step", "late_step")
    ]
    (pair,) = engine.compare(*runs).pairs
    assert (pair.verdict, pair.affects) == ("diverged", "training")
    assert "something wakes later" in pair.said
    for run in runs:
        for kept in run.directory.glob("model*"):
            kept.unlink()
    (pair,) = engine.compare(*runs).pairs
    assert (pair.verdict, pair.affects) == ("diverged", "training")


def test_runs_on_data_that_has_changed_are_judged_by_their_records(here: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(2, 40, 6)).astype("float32")
    engine = kerasx.Engine(runs=here / "data")
    fields = {**FIELDS, "dataset": "rows.npz", "strategy": "custom-step"}
    runs = []
    for number in (0, 1):
        np.savez(here / "rows.npz", x_train=rows[number], y_train=rows[number][:, :2])
        runs.append(engine.train(**fields))
    result = engine.compare(*runs)
    (pair,) = result.pairs
    first = pair.first_difference
    assert first is not None
    assert (pair.verdict, pair.affects, first.stage) == ("diverged", "training", "data")
    assert "trained on other data" in pair.said
    (note,) = result.notes
    assert "the data of" in note
    assert runs[0].directory.name in note
