"""What steps do beside what they part in, which must not be taken for it; and what is said of that."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparing import FIELDS, working_in
from hypothesis import example, given
from hypothesis import strategies as st

import kerasx
from kerasx.cli.compare import _varied
from kerasx.curves import curve
from kerasx.parity.distributions import Contrast, Distribution, contrasts
from kerasx.parity.judge import Difference
from kerasx.parity.naming import sides_of
from kerasx.parity.result import Pair, Side
from kerasx.plain import shown_apart
from kerasx.registry import Registry
from kerasx.startup import start_tensorflow

start_tensorflow()

MINE = '''
import keras
import numpy as np
import tensorflow as tf


def data():
    x = np.random.default_rng(3).normal(size=(40, 6)).astype("float32")
    return {"x_train": x, "y_train": x[:, :2].copy()}


class Counted(keras.layers.Layer):
    """Has a variable that is not trained."""

    def build(self, shape):
        self.count = self.add_weight(shape=(), trainable=False, name="count")

    def call(self, x):
        return x


def build():
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(4), Counted(), keras.layers.Dense(2)])


def trained(model, data, scale=1.0, first=lambda model, x: model, variables=lambda model: model.variables):
    x, y = data
    network = first(model, x)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x=x, y=y, y_pred=network(x, training=True), training=True) * scale
    gradients = tape.gradient(loss, variables(network))
    pairs = [(each, own) for each, own in zip(gradients, variables(model)) if each is not None]
    model.optimizer.apply(*zip(*pairs))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.get_metrics_result()


def warmed_up(model, x):
    model(x[:2])
    return model


def cloned(model, x):
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    return clone


def doubled_after_warming_up(model, data):
    return trained(model, data, 2.0, warmed_up)


def doubled_of_all_variables(model, data):
    return trained(model, data, 2.0)


def nearly(model, data):
    return trained(model, data, 1.0000001)


def drawing(model, data):
    x, y = data
    return trained(model, (x + tf.random.normal((6,)), y))


def silent(model, data):
    trained(model, data)
    return {"own": 0.0}


def counting_ahead(model, data):
    logs = trained(model, data)
    model.optimizer._iterations.assign_add(2)  # what accumulates tells of updates only
    return logs


SUMS = []


def accumulating(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x=x, y=y, y_pred=model(x, training=True), training=True)
    gradients = tape.gradient(loss, model.trainable_variables)
    if SUMS:
        model.optimizer.apply([(a + b) / 2 for a, b in zip(SUMS.pop(), gradients)], model.trainable_variables)
    else:
        SUMS.append(gradients)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.get_metrics_result()


def step_of_a_clone(model, data):
    return trained(model, data, first=cloned, variables=lambda model: model.trainable_variables)
'''


@pytest.fixture(scope="module", autouse=True)
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with working_in(tmp_path_factory.mktemp("here"), MINE) as folder:
        yield folder


def compared(*names: Any, **values: Any) -> kerasx.Comparison:
    return kerasx.Engine().compare(*names, **{**FIELDS, **values})


@pytest.fixture(scope="module")
def doubled(here: Path) -> kerasx.Comparison:
    """A clone leads, so that what it does is held against itself too."""
    steps = ("step_of_a_clone", "doubled_after_warming_up", "doubled_of_all_variables")
    names = [f"mine.py:{step}" for step in steps]
    return kerasx.Engine().compare(names[0], "custom-step", *names[1:], **FIELDS)


@pytest.mark.parametrize("step", ["doubled_after_warming_up", "doubled_of_all_variables"])
@pytest.mark.parametrize("other", ["custom-step", "mine.py:step_of_a_clone"])
def test_steps_part_where_they_differ_in_what_is_trained(
    doubled: kerasx.Comparison, step: str, other: str
) -> None:
    """Not in a forward pass that comes to nothing, nor in variables of which there is no gradient, nor in the
    names that Keras gives to the layers of a clone."""
    (pair,) = [each for each in doubled.pairs if (each.a, each.b) == (other, f"mine.py:{step}")]
    first = pair.first_difference
    assert first is not None
    assert (first.stage, first.quantity, first.step) == ("loss", "loss", 0)
    assert first.ratio == pytest.approx(0.5)


def test_a_clone_that_is_made_anew_in_each_step_repeats_itself(doubled: kerasx.Comparison) -> None:
    assert doubled.pairs[0].verdict == "identical"
    assert not [note for note in doubled.notes if "does not repeat itself" in note]


@pytest.mark.parametrize(
    ("step", "accumulates", "stage"),
    [("accumulating", False, None), ("counting_ahead", True, "update")],
)
def test_counts_of_batches_are_held_against_counts_of_batches(
    step: str, accumulates: bool, stage: str | None
) -> None:
    """And not against the updates that a step counts which accumulates by itself."""

    def experiment(strategy: str, accumulates: bool) -> kerasx.Experiment:
        steps = {"gradient_accumulation_steps": 2} if accumulates else {}
        optimizer = {"name": "adam", "learning_rate": 0.01, **steps}
        return kerasx.Experiment(**FIELDS | {"strategy": strategy, "optimizer": optimizer})

    sides = (experiment("custom-step", True), experiment(f"mine.py:{step}", accumulates))
    (pair,) = kerasx.Engine().compare(*sides).pairs
    first = pair.first_difference
    assert pair.agrees == (stage is None), first
    assert (None if first is None or pair.agrees else first.stage) == stage


@pytest.mark.soak
def test_a_stream_that_is_another_one_in_a_graph_is_told() -> None:
    result = compared("mine.py:drawing", vary={"execution": ["eager", "graph"]})
    assert not result.agrees
    assert [note for note in result.notes if "TensorFlow's own stream" in note]


def test_noise_in_what_the_leading_side_lacks_is_measured() -> None:
    """The one that leads reports no loss."""
    result = compared("mine.py:silent", "custom-step", "mine.py:nearly")
    (pair,) = [each for each in result.pairs if (each.a, each.b) == ("custom-step", "mine.py:nearly")]
    assert pair.verdict == "equivalent"
    reported = [each for each in pair.differences if each.quantity == "returned loss"]
    assert reported
    assert all(each.noise for each in reported)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
@example(0.0, -0.0)
def test_values_that_differ_are_never_shown_alike(a: float, b: float) -> None:
    """By their bits: 0 and -0 are told apart, too."""
    ours, theirs = shown_apart(a, b)
    assert (ours != theirs) == (np.float64(a).tobytes() != np.float64(b).tobytes())


@pytest.mark.parametrize(("a", "b", "shown"), [(1.0979, 1.0981, ("1.0979", "1.0981")), (1, 2, ("1", "2"))])
def test_four_digits_are_shown_where_they_are_enough(a: float, b: float, shown: tuple[str, str]) -> None:
    assert shown_apart(a, b) == shown


# --- Beside a trace -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept(here: Path) -> Path:
    return kerasx.Engine().trace("custom-step", here / "kept", **FIELDS)


def test_a_strategy_beside_a_trace_trains_its_experiment(kept: Path) -> None:
    (pair,) = kerasx.Engine().compare(kept, "gradient-tape").pairs
    assert pair.verdict == "identical"


def test_experiments_that_differ_beside_a_trace_are_said_to(kept: Path) -> None:
    result = compared(kept, "custom-step", batch_size=8)
    assert not result.agrees
    assert any("other values of batch_size" in note for note in result.notes)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"seeds": (0, 1)}, "seeds"),
        ({"vary": {"seed": [0, 1]}}, "varied"),
        ({"traces": "more"}, "traced"),
    ],
)
def test_what_cannot_be_done_with_a_trace_is_refused(kept: Path, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(kerasx.UsageError, match=f"is a trace, of steps that were taken: .*{said}"):
        kerasx.Engine().compare(kept, "custom-step", **FIELDS, **asked)


# --- Beside a run or a file -----------------------------------------------------------------------------

ALONE = """
import keras
import tensorflow as tf


def build():
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(2, "tanh")])


def doubled(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        loss = 2 * model.compute_loss(x=x, y=y, y_pred=model(x, training=True), training=True)
    variables = model.trainable_variables
    model.optimizer.apply(tape.gradient(loss, variables), variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.get_metrics_result()
"""
RULE = """
model = "mine.py:build"
dataset = "mine.py:data"
loss = "mean_squared_error"
metrics = []
epochs = 1
batch_size = 16
"""


@pytest.fixture(scope="module")
def run(here: Path) -> kerasx.Run:
    return kerasx.Engine(runs=here / "runs").train(**FIELDS | {"execution": None}, strategy="mine.py:nearly")


@pytest.fixture
def elsewhere(run: kerasx.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose file must not be taken for the run's of that name, and another that only it has."""
    (tmp_path / "mine.py").write_text(MINE.replace("x[:, :2]", "x[:, :1]").replace("Dense(2)", "Dense(1)"))
    (tmp_path / "alone.py").write_text(ALONE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def data_of(run: kerasx.Run) -> str:
    digest: str = json.loads((run.directory / "environment.json").read_text())["data_digest"]
    return digest


@pytest.mark.soak
@pytest.mark.parametrize(
    ("asked", "epochs"),
    [
        ({"seeds": (3, 4)}, [1, 1]),
        ({"epochs": 2}, [2, 2]),
        ({"execution": "eager"}, [1, 1]),
        ({"vary": {"execution": ["eager", "graph"]}}, [1, 1, 1, 1]),
    ],
    ids=str,
)
def test_a_run_that_is_trained_anew_is_trained_with_its_own_files(
    run: kerasx.Run, elsewhere: Path, asked: dict[str, Any], epochs: list[int]
) -> None:
    """Without a jit that it had for another execution than the one that is asked for."""
    result = kerasx.Engine().compare(run, run, **asked)
    assert result.agrees, result.pairs
    assert [len(side.history["loss"]) for side in result.sides] == epochs
    assert {side.data_digest for side in result.sides} == {data_of(run)}
    assert not result.notes
    assert {side.jit for side in result.sides} == {"execution" not in asked.get("vary", asked)}


@pytest.mark.soak
def test_what_is_given_beside_a_run_is_found_from_here(run: kerasx.Run, elsewhere: Path) -> None:
    with pytest.raises(kerasx.UsageError, match=re.escape("outputs [batch, 1]")):  # and of the run's are two
        kerasx.Engine().compare(run, vary={"model": ["alone.py:build", "mine.py:build"]})
    result = kerasx.Engine().compare(run, run, model="alone.py:build")
    assert {side.data_digest for side in result.sides} == {data_of(run)}
    assert result.agrees


@pytest.mark.soak
def test_code_that_has_changed_since_a_run_is_told_where_it_is_trained(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here)
    (here / "alone.py").write_text(ALONE)
    own = kerasx.Engine(runs=tmp_path).train(**FIELDS, strategy="alone.py:doubled")
    names = (own, "custom-step")
    assert not any("has changed" in note for note in kerasx.Engine().compare(*names, seeds=(0, 1)).notes)
    (here / "alone.py").write_text(ALONE.replace("2 *", "3 *"))
    for asked in ({"seeds": (0, 1)}, {"epochs": 2}, {"vary": {"seed": [0, 1]}}):
        notes = kerasx.Engine().compare(*names, **asked).notes
        (note,) = [note for note in notes if "has changed since" in note]
        assert note.startswith(f"{here / 'alone.py'} has changed since {own.directory.name}")
        assert note.endswith("what it says now was trained")
    explained = kerasx.Engine().explain(own)
    assert [note for note in explained.notes if note.endswith("what it says now was looked at")]


@pytest.mark.soak
@pytest.mark.parametrize("strategy", ["custom-step", "gradient-tape", "alone.py:doubled"])
def test_a_strategy_beside_a_run_trains_its_experiment(
    run: kerasx.Run, elsewhere: Path, strategy: str
) -> None:
    """Named from here, with the files of the run."""
    result = kerasx.Engine().compare(strategy, run)
    assert result.sides[0].data_digest == data_of(run)
    assert result.sides[0].experiment.batch_size == 16
    assert result.sides[0].jit is True
    assert result.agrees == (strategy != "alone.py:doubled")
    assert f"the experiment of {run.directory.name} is what {strategy} trained" in result.notes


@pytest.mark.soak
def test_a_loop_beside_a_run_is_not_compiled(run: kerasx.Run, elsewhere: Path) -> None:
    """Which loops cannot be, also where the run was."""
    (elsewhere / "loops.py").write_text(
        "import kerasx\n\n\ndef loop(model, batches):\n    for batch in batches:\n"
        "        logs = kerasx.train_step(model, batch)\n    return logs\n"
    )
    assert kerasx.Engine().compare(run, "loops.py:loop").sides[1].jit is False


@pytest.mark.soak
@pytest.mark.parametrize("asked", [{}, {"epochs": 2}], ids=str)
def test_a_strategy_beside_a_file_trains_its_experiment(here: Path, asked: dict[str, Any]) -> None:
    """With what is set, as the file; and two strategies alone train the defaults."""
    (here / "rule.toml").write_text(RULE)
    result = kerasx.Engine().compare("custom-step", here / "rule.toml", **asked)
    assert result.agrees
    assert [len(side.history["loss"]) for side in result.sides] == [asked.get("epochs", 1)] * 2
    assert f"the experiment of {here / 'rule.toml'} is what custom-step trained" in result.notes
    sides = sides_of(["custom-step", "gradient-tape"], kerasx.Experiment(), Registry(), Path("runs"))
    assert [side.experiment.dataset.name for side in sides] == ["mnist", "mnist"]
    assert [side.of for side in sides] == [None, None]


def test_what_strategies_train_is_what_is_named_where_something_is(here: Path) -> None:
    (here / "rule.toml").write_text(RULE)
    base = kerasx.Experiment(dataset="mnist")
    sides = sides_of(["custom-step", str(here / "rule.toml")], base, Registry(), Path("runs"))
    assert sides[0].experiment.model.name == "mlp"
    assert sides[0].of is None


@pytest.mark.soak
def test_an_explanation_is_of_the_experiment_of_the_file_beside_the_strategy(here: Path) -> None:
    (here / "rule.toml").write_text(RULE)
    found = kerasx.Engine().explain(here / "rule.toml", "mine.py:doubled_of_all_variables")
    assert found.verdict == "diverged"
    assert any("rule.toml is what mine.py:doubled_of_all_variables trained" in note for note in found.notes)


# --- Values that are varied -----------------------------------------------------------------------------


def varied(*settings: str) -> list[dict[str, Any]]:
    """The experiments of one strategy, of which options of the command line vary some values."""
    found = sides_of(
        ["custom-step"], kerasx.Experiment(**FIELDS), Registry(), Path("runs"), _varied(list(settings))
    )
    return [side.experiment.to_plain() for side in found]


def test_values_of_a_key_that_is_given_again_add_up() -> None:
    found = varied("execution=eager", "execution=graph,fused")
    assert [each["execution"] for each in found] == ["eager", "graph", "fused"]


@pytest.mark.soak
def test_options_of_parts_are_varied_at_any_depth() -> None:
    """Beside the options that a part has, and after a part that is varied itself."""
    found = varied("optimizer.momentum=0.1,0.9")
    assert [each["optimizer"] for each in found] == [
        {"name": "sgd", "learning_rate": 0.01, "momentum": momentum} for momentum in (0.1, 0.9)
    ]
    found = varied("optimizer.weight_decay=0.5", "optimizer=sgd,adam")
    assert [each["optimizer"] for each in found] == [
        {"name": name, "weight_decay": 0.5} for name in ("sgd", "adam")
    ]
    found = varied("optimizer.inner_optimizer.momentum=0.5,1", "optimizer={name='a', inner_optimizer='sgd'}")
    assert [each["optimizer"]["inner_optimizer"] for each in found] == [
        {"name": "sgd", "momentum": momentum} for momentum in (0.5, 1)
    ]


def test_keys_are_varied_as_options_spell_them() -> None:
    assert [each["batch_size"] for each in varied("batch-size=8", "batch_size=16")] == [8, 16]


@pytest.mark.parametrize("setting", ["optimzer.momentum=1,2", "optimizer.=1,2", "=1,2", "optimizer.momentum"])
def test_what_cannot_be_varied_is_refused(setting: str) -> None:
    with pytest.raises(kerasx.UsageError, match=re.escape(f"--vary {setting}: ")):
        varied(setting)


# --- Several seeds --------------------------------------------------------------------------------------


@pytest.mark.parametrize("freedom", [1, 2, 3, 10, 30])
def test_quantiles_are_students(freedom: int) -> None:
    """Their density between them comes to 95 %."""
    (contrast,) = contrasts(
        [
            Distribution("a", "loss", tuple(np.linspace(0, 1, freedom + 1))),
            Distribution("b", "loss", (0.0,) * (freedom + 1)),
        ]
    )
    assert contrast.interval is not None
    assert contrast.error is not None
    reach = (contrast.interval[1] - contrast.mean) / contrast.error
    places = np.linspace(-reach, reach, 400001)
    scale = math.gamma((freedom + 1) / 2) / math.gamma(freedom / 2) / math.sqrt(freedom * math.pi)
    density = scale * (1 + places**2 / freedom) ** (-(freedom + 1) / 2)
    assert density.mean() * 2 * reach == pytest.approx(0.95, abs=1e-4)


@pytest.mark.parametrize(
    ("differences", "differ"),
    [
        ((0.1, 0.3), False),  # twice its error from 0, where 12.7 times is asked for
        ((0.5, 0.51), True),
        ((0.1, 0.2, 0.3), False),  # 3.5 times, of 4.3
        ((0.2, 0.2), True),
    ],
)
def test_few_seeds_are_not_told_apart_by_twice_the_error(
    differences: tuple[float, ...], differ: bool
) -> None:
    said = Contrast("a", "b", "loss", differences).said
    assert said.endswith("they differ.") == differ
    assert ("do not tell the two apart" in said) != differ
    assert "95 %" in said


# --- Notebooks ------------------------------------------------------------------------------------------


def test_a_notebook_shows_evidence_notes_seeds_and_curves(here: Path) -> None:
    (here / "rule.toml").write_text(RULE.replace("epochs = 1", "epochs = 3\nvalidation_split = 0.2"))
    result = kerasx.Engine().compare(here / "rule.toml", "mine.py:doubled_of_all_variables", seeds=(0, 1))
    shown = result._repr_html_()
    (pair,) = result.pairs
    first = pair.first_difference
    assert first is not None
    assert first.noise is not None
    assert f"<td>{first.quantity}</td>" in shown
    assert f"<td>{first.relative:.1e}</td><td>{first.noise:.1e}</td>" in shown
    for text in (*result.notes, *(each.said for each in contrasts(result.distributions)), "spread"):
        assert html.escape(text) in shown
    for side in result.sides:
        losses = side.history["loss"]
        assert f"<td>{losses[0]:.4g} {curve(losses)} {losses[-1]:.4g}</td>" in shown


def test_a_notebook_has_all_names_as_text() -> None:
    evil = "<script>"
    difference = Difference(0, 0, "training", "loss", evil, 1.0, 2.0, 0.5, None, True, True)
    side = Side(evil, kerasx.Experiment(), "eager", False, {evil: [1.0, math.nan]}, {evil: 1.0}, 1.0, 1)
    pair = Pair(evil, evil, "diverged", "training", difference, (difference,), evil)
    spreads = tuple(Distribution(name, evil, (1.0, 2.0)) for name in (evil, "b"))
    result = kerasx.Comparison((side, side), (pair,), (evil,), spreads)
    assert evil not in result._repr_html_()
    assert "&lt;script&gt;" in result._repr_html_()
