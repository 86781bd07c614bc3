"""Comparing trainings, by command and from Python: verdicts, where two part, what is left behind."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from kerasx.builtins.article import row_of  # noqa: E402
from kerasx.cli.app import build_app  # noqa: E402
from kerasx.curves import curve  # noqa: E402
from kerasx.parity.distributions import Distribution, contrasts  # noqa: E402
from kerasx.parity.judge import decides, differences  # noqa: E402
from kerasx.parity.naming import sides_of  # noqa: E402
from kerasx.parity.records import STAGES, Record, StepTrace, Trace  # noqa: E402
from kerasx.parity.result import Comparison, Pair  # noqa: E402
from kerasx.parity.values import compared  # noqa: E402
from kerasx.registry import Registry  # noqa: E402

MINE = '''
import keras
import numpy as np
import tensorflow as tf


def data():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(56, 6)).astype("float32")
    y = (x @ rng.normal(size=(6, 10))).astype("float32")
    return {"x_train": x, "y_train": y, "x_test": x[:16], "y_test": y[:16]}


def training_data():
    return {name: rows for name, rows in data().items() if "train" in name}


def class_numbers():
    rows = training_data()
    return {"x_train": rows["x_train"], "y_train": np.argmax(rows["y_train"], axis=1)}


def build(signature):
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(10)])


def normalized(signature):
    """Has a bias without a gradient, of whose rounding noise Adam makes whole steps."""
    layers = [keras.layers.Dense(8), keras.layers.BatchNormalization(), keras.layers.Dense(10)]
    return keras.Sequential([keras.Input((6,)), *layers])


def nudged(signature):
    """The same weights, but for one unit in the last place of one of them."""
    model = normalized(signature)
    kernel = model.variables[0]
    value = kernel.numpy()
    value[2, 3] = np.nextafter(value[2, 3], np.float32(9))
    kernel.assign(value)
    return model


def dropping(signature):
    layers = [keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.3), keras.layers.Dense(10)]
    return keras.Sequential([keras.Input((6,)), *layers])


def trained(model, data, optimizer=None, factor=1.0, reduce=tf.reduce_sum):
    x, y = data
    optimizer = optimizer or model.optimizer
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        rows = reduce(tf.square(tf.cast(y_pred, tf.float32) - y), axis=-1)
        loss = tf.reduce_mean(rows)
        differentiated = loss * factor
    optimizer.apply(tape.gradient(differentiated, model.trainable_variables), model.trainable_variables)
    for metric in model.metrics:
        if metric.name == "loss":
            metric.update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def sum_step(model, data):
    return trained(model, data)


def mean_step(model, data):
    return trained(model, data, reduce=tf.reduce_mean)


def small_step(model, data):
    return trained(model, data, factor=1e-5)


def smaller_step(model, data):
    return trained(model, data, factor=1e-6)


def late_step(model, data):
    """Deviates from the eleventh step on, which is later than the first steps that are looked at."""
    return trained(model, data, factor=tf.where(model.optimizer.iterations < 10, 1.0, 3.0))


def printing_step(model, data):
    print("from the step")
    return trained(model, data)


OWN = keras.optimizers.SGD(0.01, momentum=0.9)
OTHER = keras.optimizers.SGD(0.01, momentum=0.5)


def own_optimizer_step(model, data):
    return trained(model, data, OWN)


def other_optimizer_step(model, data):
    return trained(model, data, OTHER)


def raising_step(model, data):
    raise RuntimeError("always")  # line of raising_step


def raising_eagerly_step(model, data):
    if tf.executing_eagerly():
        raise RuntimeError("eagerly")  # line of raising_eagerly_step
    return mean_step(model, data)


class StopsInTheSecondEpoch(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise RuntimeError("stopped")
'''

FIRST_PARTY = ("gradient-tape", "compiled-fit", "custom-step")
# Two batches an epoch, and validation only where it is looked at: tracing takes each of them often.
FIELDS: dict[str, Any] = {
    "model": "mine.py:build",
    "dataset": "mine.py:training_data",
    "loss": "sum-squared-error",
    "metrics": [],
    "epochs": 2,
    "batch_size": 28,
}
OPTIONS = (
    *("--model", "mine.py:build", "--dataset", "mine.py:training_data", "--loss", "sum-squared-error"),
    *("--set", "metrics=[]", "--epochs", "2", "--batch-size", "28"),
)
# What the design says; there may be more.
SIDE_KEYS = {"name", "evaluation", "seconds", "steps_per_second", "weights_digest"}
PAIR_KEYS = {"a", "b", "verdict", "affects", "first_difference"}
DIFFERENCE_KEYS = {"epoch", "step", "stage", "quantity", "a", "b", "relative"}

# Rate and loss that make up for each other, as the mean of ten outputs is a tenth of their sum.
MSE = """
model = "mine.py:build"
dataset = "mine.py:training_data"
metrics = []
epochs = 2
batch_size = 28
loss = "mean_squared_error"
learning_rate = 0.1
"""
SUM = MSE.replace("mean_squared_error", "sum-squared-error").replace("0.1", "0.01")


@pytest.fixture(scope="module", autouse=True)
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working directory of all tests, with a user's files in it."""
    folder = tmp_path_factory.mktemp("here")
    (folder / "mine.py").write_text(MINE)
    (folder / "mse.toml").write_text(MSE)
    (folder / "sum.toml").write_text(SUM)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("KERASX_RUNS", raising=False)
        yield folder


def compare(*names: Any, **values: Any) -> Comparison:
    return kerasx.Engine().compare(*names, **{**FIELDS, **values})


def only_pair(comparison: Comparison) -> Pair:
    (pair,) = comparison.pairs
    return pair


def place(pair: Pair) -> tuple[int, int | None, str]:
    """Where two sides that diverged part."""
    first = pair.first_difference
    assert first is not None
    return first.epoch, first.step, first.stage


def kerasx_here(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), arguments, env={"COLUMNS": "200"})


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kerasx", *arguments], capture_output=True, text=True, check=False
    )


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(MINE.splitlines(), 1) if text in line)


@pytest.fixture(scope="module")
def mean_and_sum(here: Path) -> Comparison:
    """kerasx's step beside a user's, who takes the mean over outputs in place of the sum."""
    return compare("custom-step", "mine.py:mean_step")


# --- The first-party strategies -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("execution", "jit"), [("graph", False), ("fused", False), ("graph", True), ("fused", True)]
)
def test_the_three_strategies_are_identical_at_one_jit_setting(execution: str, jit: bool) -> None:
    """The same bits at the end, and so the same digests, histories and evaluations."""
    result = compare(*FIRST_PARTY, execution=execution, jit=jit, dataset="mine.py:data", batch_size=14)
    assert [(side.name, side.execution, side.jit) for side in result.sides] == [
        (name, execution, jit) for name in FIRST_PARTY
    ]
    assert [(pair.a, pair.b) for pair in result.pairs] == [
        ("gradient-tape", "compiled-fit"),
        ("gradient-tape", "custom-step"),
        ("compiled-fit", "custom-step"),
    ]
    assert [(pair.verdict, pair.affects, pair.first_difference) for pair in result.pairs] == [
        ("identical", None, None)
    ] * 3
    assert len({side.weights_digest for side in result.sides}) == 1
    assert result.sides[0].history == result.sides[1].history == result.sides[2].history
    assert result.agrees


def test_the_digest_is_that_of_the_training_itself(tmp_path: Path) -> None:
    """What is compared is what `train` trains."""
    fields = {**FIELDS, "dataset": "mine.py:data", "batch_size": 24}
    run = kerasx.Engine(runs=tmp_path).train(**fields, jit=False)
    for side in compare("custom-step", "gradient-tape", **fields).sides:
        assert side.weights_digest == run.weights_digest
        assert side.history == run.history
        assert side.evaluation == run.evaluation
        assert side.steps == run.steps == 6


def test_json_of_trainings_that_agree_is_one_document_and_exits_with_0(here: Path) -> None:
    """In a process of its own: the designed fields, and what a step prints goes to standard error."""
    names = (*FIRST_PARTY, "mine.py:printing_step")
    done = process("compare", *names, *OPTIONS, "--dataset", "mine.py:data", "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert set(shown) >= {"strategies", "pairs"}
    assert [side["name"] for side in shown["strategies"]] == [*FIRST_PARTY, "mine.py:printing_step"]
    assert all(set(side) >= SIDE_KEYS for side in shown["strategies"])
    assert all(set(side["evaluation"]) == {"loss"} for side in shown["strategies"])
    assert all(side["seconds"] > 0 and side["steps_per_second"] > 0 for side in shown["strategies"])
    assert len({side["weights_digest"] for side in shown["strategies"][:3]}) == 1
    assert len(shown["pairs"]) == 6
    assert all(set(pair) >= PAIR_KEYS for pair in shown["pairs"])
    assert all(pair["first_difference"] is None for pair in shown["pairs"])
    assert [pair["verdict"] for pair in shown["pairs"][:2]] == ["identical", "identical"]
    assert "from the step" in done.stderr
    assert not (here / "runs").exists()


# --- Trainings that differ ------------------------------------------------------------------------------


def test_a_mean_for_a_sum_is_told_at_the_loss_of_the_first_step(mean_and_sum: Comparison) -> None:
    """Stage, step, ratio and both values, as objects and as the JSON has them."""
    pair = only_pair(mean_and_sum)
    assert (pair.verdict, pair.affects, place(pair)) == ("diverged", "training", (0, 0, "loss"))
    assert not mean_and_sum.agrees
    assert pair.first_difference is not None
    assert pair.first_difference.ratio == pytest.approx(10.0, rel=1e-5)
    assert pair.first_difference.relative == pytest.approx(0.9, rel=1e-5)
    assert pair.first_difference.a == pytest.approx(10 * pair.first_difference.b, rel=1e-5)
    # What comes of it is there too: gradients and updates of that step.
    stages = {each.stage for each in pair.differences}
    assert stages >= {"loss", "gradient", "update"}

    shown = json.loads(json.dumps(mean_and_sum.to_dict()))
    assert shown["pairs"][0]["a"] == "custom-step"
    assert shown["pairs"][0]["b"] == "mine.py:mean_step"
    first = shown["pairs"][0]["first_difference"]
    assert set(first) >= DIFFERENCE_KEYS
    assert (first["epoch"], first["step"], first["stage"]) == (0, 0, "loss")


def test_a_divergence_is_told_in_words_and_exits_with_1(here: Path) -> None:
    """In a process of its own: both names, the stage, the ratio, curves and the evidence."""
    done = process("compare", "custom-step", "mine.py:mean_step", *OPTIONS)
    assert done.returncode == 1, done.stderr
    assert "custom-step and mine.py:mean_step: diverged" in done.stdout
    assert "stage loss, epoch 0, step 0" in done.stdout
    assert "10.000 times larger in custom-step" in done.stdout
    assert done.stdout.count("█▁") == 2  # both losses fall from the first epoch to the second
    assert "Traceback" not in done.stderr
    assert not (here / "runs").exists()


def test_a_rate_that_makes_up_for_the_loss_affects_the_report_only() -> None:
    """Two experiment files: losses and gradients differ by ten, updates do not."""
    result = kerasx_here("compare", "mse.toml", "sum.toml")
    assert result.exit_code == 1, result.stderr
    assert "mse.toml and sum.toml: diverged, in the report only" in result.stdout
    assert "stage loss, epoch 0, step 0" in result.stdout
    assert "10.000 times larger in" in result.stdout
    assert "Losses and gradients differ; updates agree." in result.stdout
    assert "change of" not in result.stdout  # no update is among the evidence


def test_the_same_files_with_one_rate_on_the_command_line_affect_the_training() -> None:
    """What options say goes before what files say, and nothing else of the files does."""
    options = ("--learning-rate", "0.02", "--epochs", "1")
    result = kerasx_here("compare", "mse.toml", "sum.toml", *options, "--json")
    assert result.exit_code == 1, result.stderr
    shown = json.loads(result.stdout)
    assert shown["pairs"][0]["affects"] == "training"
    assert [len(side["history"]["loss"]) for side in shown["strategies"]] == [1, 1]


def test_labels_encoded_as_each_loss_takes_them_are_not_where_two_losses_part() -> None:
    """A mean takes one-hot rows and kerasx's sum class numbers; what differs between them is the ten."""
    losses = ["mean_squared_error", "sum-squared-error"]
    pair = only_pair(compare("custom-step", vary={"loss": losses}, dataset="mine.py:class_numbers"))
    assert (pair.verdict, place(pair)) == ("diverged", (0, 0, "loss"))
    assert pair.first_difference is not None
    assert pair.first_difference.ratio == pytest.approx(0.1, rel=1e-5)


def test_gradients_of_a_tenth_never_pass_for_equal_however_small() -> None:
    """Tiny gradients, which hardly move a weight, are judged by their own size."""
    pair = only_pair(compare("mine.py:small_step", "mine.py:smaller_step", learning_rate=1e-4, epochs=1))
    assert (pair.verdict, pair.affects, place(pair)) == ("diverged", "training", (0, 0, "loss"))
    gradients = [each for each in pair.differences if each.stage == "gradient"]
    assert gradients
    assert all(each.ratio == pytest.approx(10.0, rel=1e-3) for each in gradients)


@pytest.mark.soak
def test_what_wakes_later_than_the_first_steps_is_seen_at_the_end() -> None:
    """The first steps agree, and it is said that they do."""
    pair = only_pair(compare("mine.py:sum_step", "mine.py:late_step", batch_size=4, epochs=1))
    assert (pair.verdict, pair.affects) == ("diverged", "training")
    assert pair.first_difference is not None
    assert pair.first_difference.kind == "end"
    assert "The first steps agree." in pair.said


# --- One experiment, varied -----------------------------------------------------------------------------


def test_executions_agree() -> None:
    """Eager, graph and fused, each with every other, exit with 0."""
    result = kerasx_here("compare", "--vary", "execution=eager,graph,fused", *OPTIONS, "--json")
    assert result.exit_code == 0, result.stderr
    shown = json.loads(result.stdout)
    assert [side["name"] for side in shown["strategies"]] == [
        f"custom-step execution={execution}" for execution in ("eager", "graph", "fused")
    ]
    assert [side["execution"] for side in shown["strategies"]] == ["eager", "graph", "fused"]
    assert len(shown["pairs"]) == 3
    assert {pair["verdict"] for pair in shown["pairs"]} <= {"identical", "equivalent"}


@pytest.mark.soak
def test_batch_sizes_part_at_the_data() -> None:
    """Two values of one key by `--vary`."""
    options = ("--epochs", "1", "--json")
    result = kerasx_here("compare", "--vary", "batch_size=8,16", *OPTIONS, *options)
    assert result.exit_code == 1, result.stderr
    (pair,) = json.loads(result.stdout)["pairs"]
    assert (pair["a"], pair["b"]) == ("custom-step batch_size=8", "custom-step batch_size=16")
    first = pair["first_difference"]
    assert (pair["verdict"], first["epoch"], first["step"], first["stage"]) == ("diverged", 0, 0, "data")
    assert "8" in first["a"]
    assert "16" in first["b"]


@pytest.mark.soak
def test_seeds_part_before_the_first_forward_pass() -> None:
    """At the order of rows, or at the initial weights where that is the same."""
    sides = kerasx_here("compare", "--vary", "seed=0,1", *OPTIONS, "--json")
    assert sides.exit_code == 1, sides.stderr
    (pair,) = json.loads(sides.stdout)["pairs"]
    assert (pair["verdict"], pair["affects"]) == ("diverged", "training")
    assert pair["first_difference"]["stage"] in ("data", "initial-state")

    in_order = compare(vary={"seed": [0, 1]}, shuffle=False, epochs=1)
    assert place(only_pair(in_order)) == (0, 0, "initial-state")


@pytest.mark.soak
def test_precisions_differ() -> None:
    """Half precision is no rounding of float32."""
    pair = only_pair(compare(vary={"precision": ["float32", "mixed_float16"]}, epochs=1))
    assert (pair.verdict, place(pair)[:2]) == ("diverged", (0, 0))


@pytest.mark.soak
def test_names_and_values_are_combined() -> None:
    """Each name stands for as many experiments as there are combinations of values."""
    sides = sides_of(
        ["custom-step", "gradient-tape"],
        kerasx.Experiment(**FIELDS),
        Registry(),
        Path("runs"),
        {"batch_size": [8, 16], "seed": [0, 1, 2]},
    )
    assert len({side.name for side in sides}) == len(sides) == 12
    assert {
        (side.experiment.strategy.name, side.experiment.batch_size, side.experiment.seed) for side in sides
    } == {
        (strategy, batch_size, seed)
        for strategy in ("custom-step", "gradient-tape")
        for batch_size in (8, 16)
        for seed in (0, 1, 2)
    }
    assert all(side.experiment.jit is False for side in sides)


# --- XLA ------------------------------------------------------------------------------------------------


def test_jit_and_no_jit_are_equivalent_without_random_numbers() -> None:
    """Rounding, and measured to be no more than that."""
    pair = only_pair(compare(vary={"jit": [False, True]}, execution="graph"))
    assert pair.verdict in ("identical", "equivalent")
    assert pair.affects is None


def test_jit_draws_other_random_numbers_which_is_said_to_be_all() -> None:
    """Dropout: the first difference is that of the numbers, and there is no other."""
    pair = only_pair(compare(vary={"jit": [False, True]}, model="mine.py:dropping", execution="graph"))
    assert (pair.verdict, pair.affects, place(pair)) == ("diverged", "training", (0, 0, "forward"))
    assert pair.first_difference is not None
    assert pair.first_difference.quantity == "random numbers"
    assert (pair.first_difference.a, pair.first_difference.b) == ("TensorFlow's", "XLA's")
    assert "XLA draws other random numbers" in pair.said
    assert "that is all" in pair.said


@pytest.mark.soak
def test_random_numbers_do_not_cover_up_another_difference() -> None:
    """With dropout and jit on one side, a mean for a sum is told all the same."""
    experiment = kerasx.Experiment(**{**FIELDS, "model": "mine.py:dropping"})
    pair = only_pair(
        kerasx.Engine().compare(
            experiment.with_values(jit=False),
            experiment.with_values(jit=True, strategy="mine.py:mean_step", execution="graph"),
        )
    )
    assert (pair.verdict, place(pair)) == ("diverged", (0, 0, "loss"))
    assert "random" not in pair.said


# --- Noise ----------------------------------------------------------------------------------------------


def test_one_unit_in_the_last_place_of_one_weight_is_no_divergence() -> None:
    """It is not the same bits either: the digests differ. Adam makes the most of it."""
    result = compare(
        vary={"model": ["mine.py:normalized", "mine.py:nudged"]},
        optimizer="adam",
        learning_rate=1e-3,
        epochs=1,
        execution="eager",
    )
    a, b = result.sides
    assert a.weights_digest != b.weights_digest
    pair = only_pair(result)
    assert (pair.verdict, pair.affects) == ("equivalent", None)
    assert result.agrees
    assert pair.to_dict()["first_difference"] is None


def test_trainings_that_become_no_number_alike_are_identical() -> None:
    """The same bits are the same bits, also of what is not a number."""
    result = compare("gradient-tape", "custom-step", learning_rate=1e30)
    assert math.isnan(result.sides[0].history["loss"][-1])
    assert result.sides[0].weights_digest == result.sides[1].weights_digest
    assert only_pair(result).verdict == "identical"


# --- Names ----------------------------------------------------------------------------------------------


def test_a_row_of_the_article_stands_for_its_experiment() -> None:
    """All but what is set on the command line is the row's."""
    sides = sides_of(["article:3", "article:1"], kerasx.Experiment(epochs=4), Registry(), Path("runs"))
    assert [side.name for side in sides] == ["article:3", "article:1"]
    expected = kerasx.Experiment.parse({**row_of(3).experiment, "epochs": 4})
    for field in type(expected).model_fields:
        if field != "jit":
            assert getattr(sides[0].experiment, field) == getattr(expected, field), field
    assert sides[0].experiment != sides[1].experiment
    with pytest.raises(kerasx.UsageError, match="rows 1 to 10"):
        sides_of(["article:11", "article:1"], kerasx.Experiment(), Registry(), Path("runs"))


@pytest.mark.soak
def test_options_go_before_the_values_of_a_file() -> None:
    """A file's rate, be it the experiment's or its optimizer's, gives way; the rest stays."""
    Path("inner.toml").write_text(
        SUM.replace("learning_rate = 0.01", '[optimizer]\nname = "adam"\nlearning_rate = 0.5\nbeta_1 = 0.8')
    )
    base = kerasx.Experiment(learning_rate=0.25, strategy="gradient-tape")
    outer, inner = sides_of(["sum.toml", "inner.toml"], base, Registry(), Path("runs"))
    for side in (outer, inner):
        assert side.experiment.learning_rate == 0.25
        assert (side.experiment.epochs, side.experiment.batch_size) == (2, 28)
        assert side.experiment.dataset.name == "mine.py:training_data"
    assert inner.experiment.optimizer is not None
    assert inner.experiment.optimizer.options == {"beta_1": 0.8}


@pytest.mark.soak
def test_jit_is_off_unless_it_is_asked_for() -> None:
    """By options or by a file."""
    Path("jit.toml").write_text(f"jit = true\n{SUM}")
    names = ["custom-step", "sum.toml", "jit.toml"]
    sides = sides_of(names, kerasx.Experiment(), Registry(), Path("runs"))
    assert [side.experiment.jit for side in sides] == [False, False, True]
    sides = sides_of(names, kerasx.Experiment(jit=True), Registry(), Path("runs"))
    assert [side.experiment.jit for side in sides] == [True, True, True]


def test_strategy_and_reference_train_the_base_and_equal_names_are_told_apart() -> None:
    """A strategy's name, a reference, a function and an experiment, one of them twice."""

    def mine(model: keras.Model, data: Any) -> dict[str, Any]:
        return {}

    base = kerasx.Experiment(**FIELDS, seed=3)
    names = [
        "custom-step",
        "mine.py:sum_step",
        mine,
        kerasx.Experiment(strategy="gradient-tape"),
        "custom-step",
    ]
    sides = sides_of(names, base, Registry(), Path("runs"))
    assert [side.name for side in sides] == [
        "custom-step",
        "mine.py:sum_step",
        "mine",
        "gradient-tape",
        "custom-step (2)",
    ]
    assert [side.experiment.seed for side in sides] == [3, 3, 3, 0, 3]
    assert sides[1].experiment.strategy.name == "mine.py:sum_step"


def test_a_misspelt_strategy_in_a_process_of_its_own(here: Path) -> None:
    """One line that offers the nearest name, exit code 2, nothing on standard output."""
    done = process("compare", "custom-step", "gradient-tap", *OPTIONS)
    assert (done.returncode, done.stdout) == (2, "")
    assert "`gradient-tap`" in done.stderr
    assert "`gradient-tape`" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (here / "runs").exists()


BAD: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    (("custm-step", "gradient-tape"), ("custm-step", "`custom-step`")),
    (("gradient-tape",), ("nothing to compare it with", "--vary")),
    ((), ("nothing to compare it with", "--vary")),
    (("--vary", "batch_siz=8,16"), ("batch_siz", "`batch_size`")),
    (("--vary", "batch_size"), ("--vary batch_size", "key=value,value")),
    (("--vary", "batch_size=8"), ("nothing to compare it with",)),
    (("--vary", "batch_size=8,x"), ("batch_size", "'x'")),
    (("--vary", "execution=graph,eger"), ("execution", "eger", "eager")),
    (("gradient-tape", "custom-step", "--seeds", "0,x"), ("--seeds 0,x", "0,1,2")),
    (("gradient-tape", "custom-step", "--seeds", ""), ("--seeds", "0,1,2")),
    (("gradient-tape", "custom-step", "--seeds", "-1"), ("seed", "-1")),
    (("gone.toml", "custom-step"), ("gone.toml",)),
    (("gone.py:step", "custom-step"), ("gone.py",)),
    (("mine.py:mean_stp", "custom-step"), ("mean_stp", "mean_step")),
    (("mine.py:data", "custom-step"), ("mine.py:data", "(model, data)")),
    (("article:11", "custom-step"), ("rows 1 to 10",)),
    (("last", "custom-step"), ("last",)),
]


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=[" ".join(row[0]) or "none" for row in BAD])
def test_bad_input_gets_one_answer(here: Path, arguments: tuple[str, ...], said: tuple[str, ...]) -> None:
    """What is wrong and the nearest right one, exit code 2, nothing on standard output or on disk."""
    result = kerasx_here("compare", *arguments, *OPTIONS)
    assert result.exit_code == 2, result.stderr
    for expected in said:
        assert expected in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert not (here / "runs").exists()


# --- Finished runs --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(here: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[kerasx.Engine, list[str]]:
    """An engine with three finished runs: two of the same training, one at another rate."""
    engine = kerasx.Engine(runs=tmp_path_factory.mktemp("runs"))
    trained = [engine.train(**FIELDS), engine.train(**FIELDS), engine.train(**FIELDS, learning_rate=0.02)]
    return engine, [run.directory.name for run in trained]


def test_finished_runs_of_one_training_are_identical_without_training_again(
    runs: tuple[kerasx.Engine, list[str]],
) -> None:
    """Nothing is told of training, and what is shown is what the runs recorded."""
    engine, (a, b, _) = runs
    told: list[str] = []
    result = engine.compare(a, b, told=told.append)
    assert only_pair(result).verdict == "identical"
    assert [text for text in told if not text.startswith("code by reference: ")] == []
    assert [side.name for side in result.sides] == [a, b]
    assert result.sides[0].weights_digest == engine.run_directory(a).summary["weights_digest"]
    assert result.sides[0].jit is True
    assert result.sides[0].steps == 4


def test_finished_runs_at_two_rates_part_at_the_update(runs: tuple[kerasx.Engine, list[str]]) -> None:
    """Their first steps are taken again, their trainings are not, and their records stay as they were."""
    engine, (a, _, other) = runs
    told: list[str] = []
    before = {path: path.stat().st_mtime_ns for path in engine.runs.rglob("*")}
    pair = only_pair(engine.compare(a, other, told=told.append))
    assert (pair.a, pair.b) == (a, other)
    assert (pair.verdict, pair.affects, place(pair)) == ("diverged", "training", (0, 0, "update"))
    assert told
    assert not any(text.startswith("training") for text in told)
    assert {path: path.stat().st_mtime_ns for path in engine.runs.rglob("*")} == before


def test_last_and_a_path_name_runs(runs: tuple[kerasx.Engine, list[str]]) -> None:
    """As for the other commands."""
    engine, (a, _, _) = runs
    last = engine.list_runs()[-1].name
    sides = sides_of(["last", str(engine.runs / a)], kerasx.Experiment(), engine.registry, engine.runs)
    assert [side.run.name for side in sides if side.run is not None] == [last, a]
    assert sides[1].experiment.dataset.name == "mine.py:training_data"


@pytest.mark.soak
def test_a_run_with_other_options_is_trained_anew(runs: tuple[kerasx.Engine, list[str]]) -> None:
    """Its record is of another training."""
    engine, (a, b, _) = runs
    told: list[str] = []
    result = engine.compare(a, b, epochs=1, jit=False, told=told.append)
    assert only_pair(result).verdict == "identical"
    assert told[0].startswith("code by reference: ")
    assert told[1:] == [f"training {a}", f"training {b}"]
    assert [len(side.history["loss"]) for side in result.sides] == [1, 1]


def test_a_run_that_did_not_finish_is_refused(tmp_path: Path) -> None:
    """With its name and status."""
    engine = kerasx.Engine(runs=tmp_path)
    finished = engine.train(**FIELDS).directory.name
    with pytest.raises(kerasx.UsageError, match="stopped"):
        engine.train(**FIELDS, callbacks=["mine.py:StopsInTheSecondEpoch"])
    (failed,) = {run.name for run in engine.list_runs()} - {finished}
    status = engine.run_directory(failed).summary["status"]
    assert status != "finished"
    with pytest.raises(kerasx.UsageError, match=rf"{failed} cannot be compared: its status is {status}"):
        engine.compare(finished, failed)


# --- Several seeds --------------------------------------------------------------------------------------


def test_several_seeds_give_distributions() -> None:
    """Of each result of each side, with the verdict on the first seed."""
    result = compare("custom-step", "mine.py:mean_step", seeds=[4, 0, 1], dataset="mine.py:data")
    assert [(each.name, each.quantity) for each in result.distributions] == [
        ("custom-step", "loss"),
        ("mine.py:mean_step", "loss"),
    ]
    shown = json.loads(json.dumps(result.to_dict()))
    for side, each in zip(result.sides, shown["seeds"], strict=True):
        values = each["values"]
        assert len(set(values)) == 3
        assert values[0] == side.evaluation["loss"]
        assert side.experiment.seed == 4
        assert each["mean"] == pytest.approx(np.mean(values))
        assert each["spread"] == pytest.approx(np.std(values, ddof=1))
        assert each["range"] == [min(values), max(values)]
    (contrast,) = shown["contrasts"]
    a, b = (each["values"] for each in shown["seeds"])
    assert contrast["differences"] == pytest.approx(np.subtract(a, b))
    assert contrast["mean"] == pytest.approx(np.mean(a) - np.mean(b))
    assert place(only_pair(result)) == (0, 0, "loss")


@pytest.mark.soak
def test_seeds_on_the_command_line_are_shown_as_a_table() -> None:
    """Mean, spread, range and number of seeds, after the verdict."""
    result = kerasx_here(
        "compare", "custom-step", "gradient-tape", *OPTIONS, "--seeds", "0,1", "--dataset", "mine.py:data"
    )
    assert result.exit_code == 0, result.stderr
    assert "custom-step and gradient-tape: identical" in result.stdout
    heads = next(line for line in result.stdout.splitlines() if "spread" in line)
    for head in ("mean", "least", "largest", "seeds"):
        assert head in heads
    assert "loss of custom-step less that of gradient-tape: +0" in result.stdout


@given(
    st.lists(st.floats(-100, 100), min_size=1, max_size=6).flatmap(
        lambda a: st.tuples(st.just(a), st.lists(st.floats(-100, 100), min_size=len(a), max_size=len(a)))
    )
)
def test_results_that_are_not_told_apart_are_never_called_the_same(
    values: tuple[list[float], list[float]],
) -> None:
    """Either the difference is well beyond twice its error, or it is said that this proves nothing."""
    a, b = values
    (contrast,) = contrasts([Distribution("one", "loss", tuple(a)), Distribution("two", "loss", tuple(b))])
    said = contrast.said
    assert "one" in said
    assert "two" in said
    for word in ("equal", "identical", "equivalent", "no difference"):
        assert word not in said
    differences = np.subtract(a, b)
    if len(a) == 1:
        assert "says nothing of others" in said
    elif not differences.any():
        assert "the same for every seed" in said
    elif abs(np.mean(differences)) < 1.99 * np.std(differences, ddof=1) / math.sqrt(len(a)):
        assert "does not make them the same" in said
    if "same" in said:
        assert "does not make them the same" in said or "the same for every seed" in said


# --- Nothing is left behind -----------------------------------------------------------------------------

SEAMS: list[tuple[type, str]] = [
    (keras.Layer, "__call__"),
    (keras.Model, "__call__"),
    (keras.Model, "compute_loss"),
    (keras.losses.Loss, "__call__"),
    (tf.GradientTape, "gradient"),
    (keras.optimizers.Optimizer, "apply"),
    (keras.optimizers.SGD, "apply"),
    (keras.optimizers.LossScaleOptimizer, "apply"),
    (keras.metrics.Metric, "update_state"),
    (keras.metrics.Mean, "update_state"),
]


def state_of_the_process() -> dict[str, Any]:
    random_state = np.random.get_state()
    return {
        "seams": [getattr(owner, name) for owner, name in SEAMS],
        "owned": [name in vars(owner) for owner, name in SEAMS],
        "policy": keras.config.dtype_policy().name,
        "floatx": keras.config.floatx(),
        "random": random.getstate(),
        "numpy": (random_state[1].tolist(), random_state[2:]),
        "path": list(sys.path),
        "eager functions": tf.config.functions_run_eagerly(),
        "working directory": Path.cwd(),
        "files": sorted(str(path) for path in Path().rglob("*") if "__pycache__" not in path.parts),
    }


@pytest.mark.parametrize("step", ["mine.py:mean_step", "mine.py:raising_eagerly_step"])
def test_the_process_and_the_disk_are_left_as_they_were(step: str) -> None:
    """After a comparison that traced its stages, also where the user's step raised in the midst of it."""
    before = state_of_the_process()
    try:
        result = compare("custom-step", step, seed=5, precision="mixed_float16", epochs=1)
        assert result.pairs[0].verdict == "diverged"
    except kerasx.UsageError:
        assert step == "mine.py:raising_eagerly_step"
    after = state_of_the_process()
    for name, value in before.items():
        assert after[name] == value, name


@pytest.mark.parametrize("step", ["raising_step", "raising_eagerly_step"])
def test_a_step_that_raises_is_named_with_its_file_and_line(step: str) -> None:
    """Whether it raises always, or only where its stages are traced; `--debug` is for the traceback."""
    with pytest.raises(kerasx.UsageError) as caught:
        compare("custom-step", f"mine.py:{step}", execution="graph")
    message = str(caught.value)
    assert f"mine.py:{step}" in message
    assert "RuntimeError" in message
    assert f"mine.py, line {line_of(f'# line of {step}')})" in message
    assert "Traceback" in (caught.value.details or "")


def test_each_side_has_its_modules_afresh() -> None:
    """An optimizer made as a module is loaded does not carry its state from one side to the next."""
    result = compare("mine.py:own_optimizer_step", "mine.py:own_optimizer_step", execution="eager")
    assert only_pair(result).verdict == "identical"


@pytest.mark.soak
@pytest.mark.parametrize("execution", ["eager", "graph"])
def test_an_optimizer_of_ones_own_is_kept_in_lockstep(execution: str) -> None:
    """The same one in the place of the model's is no difference; another one parts at the update."""
    values = {"optimizer": {"name": "sgd", "momentum": 0.9}, "learning_rate": 0.01, "execution": execution}
    same, other, _ = compare("mine.py:sum_step", "mine.py:own_optimizer_step", "mine.py:other_optimizer_step",
                             **values).pairs  # fmt: skip
    assert same.verdict == "identical"
    assert "another optimizer stepped in its place" in same.said
    assert (other.verdict, other.affects, other.first_difference.stage) == ("diverged", "training", "update")
    assert other.first_difference.step == 1


@pytest.mark.soak
def test_a_model_handed_over_as_an_object_starts_anew_on_each_side() -> None:
    """Its weights are where every side begins, and where they are afterwards."""
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(10)])
    before = kerasx.weights_digest(model)
    result = compare("gradient-tape", "custom-step", model=model, epochs=1)
    assert only_pair(result).verdict == "identical"
    assert kerasx.weights_digest(model) == before


@pytest.mark.soak
def test_a_callback_handed_over_as_an_object_starts_anew_on_each_side() -> None:
    """What it counted on one side is no part of another: the same trainings are not made to differ."""

    class Decays(keras.callbacks.Callback):
        epochs = 0

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.epochs += 1
            self.model.optimizer.learning_rate.assign(0.01 / self.epochs)

    result = compare("gradient-tape", "custom-step", callbacks=[Decays()])
    assert only_pair(result).verdict == "identical"


# --- Plugins and notebooks ------------------------------------------------------------------------------


class GraphOnly(kerasx.StepStrategy):
    """Keras's own training, in graphs and nowhere else."""

    capabilities = kerasx.Capabilities(executions=("graph",))

    def train(self, task: kerasx.TrainingTask) -> dict[str, list[float]]:
        return kerasx.run_fit(task)


class GraphOnlyPlugin:
    """A plugin as it is handed to an engine."""

    @kerasx.hookimpl
    def kerasx_strategies(self) -> list[kerasx.StrategySpec]:
        return [kerasx.StrategySpec("graph-only", "Trains in graphs.", GraphOnly)]


@pytest.mark.soak
def test_a_strategy_without_eager_execution_is_compared_by_what_its_steps_leave() -> None:
    """It is said that stages are not traced; a deviation is seen in the first update all the same."""
    engine = kerasx.Engine(plugins=[GraphOnlyPlugin()])
    result = engine.compare("graph-only", "compiled-fit", "mine.py:mean_step", **{**FIELDS, "epochs": 1})
    same, *others = result.pairs
    assert same.verdict == "identical"
    for pair in others:
        assert (pair.verdict, pair.affects) == ("diverged", "training")
        assert place(pair) == (0, 0, "update")
    assert [note for note in result.notes if "stages are not traced" in note and "graph-only" in note]


def cells_and_tags(text: str) -> tuple[list[str], set[str]]:
    """The texts and the tags of a piece of HTML."""
    texts: list[str] = []
    tags: set[str] = set()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            tags.add(tag)

        def handle_data(self, data: str) -> None:
            texts.append(data)

    Reader().feed(text)
    return texts, tags


def test_a_notebook_shows_tables_with_names_as_text(mean_and_sum: Comparison) -> None:
    """Verdicts, digests and words are there, and a name that looks like a tag is none."""
    named = dataclasses.replace(
        mean_and_sum,
        sides=(dataclasses.replace(mean_and_sum.sides[0], name="<b>"), mean_and_sum.sides[1]),
        pairs=(dataclasses.replace(mean_and_sum.pairs[0], a="<b>"),),
    )
    texts, tags = cells_and_tags(named._repr_html_())
    assert tags <= {"table", "thead", "tbody", "tr", "th", "td", "div", "style", "p"}
    assert {"table", "td"} <= tags
    assert texts.count("<b>") == 3  # in the results, in the verdicts and over the evidence
    assert "mine.py:mean_step" in texts
    assert "diverged" in texts
    assert "training" in texts
    assert mean_and_sum.pairs[0].said in texts
    for side in mean_and_sum.sides:
        assert side.weights_digest is not None
        assert any(len(text) >= 8 and side.weights_digest.startswith(text) for text in texts)


# --- The judge ------------------------------------------------------------------------------------------

finite = st.floats(-1e6, 1e6, width=32)
noises = st.none() | st.floats(0, 1e3)


def array(values: list[float]) -> np.ndarray[Any, Any]:
    return np.array(values, "float32")


def record(values: list[float] | np.ndarray[Any, Any], stage: str = "update") -> Record:
    return Record(stage, np.asarray(values, "float32"), "decides")


def is_beyond(a: Any, b: Any, noise: float | None) -> bool:
    found = compared(record(a), record(b), noise)
    return found is not None and found[4]


any_floats = st.lists(st.floats(width=32), min_size=1, max_size=8)
pairs_of_any = any_floats.flatmap(
    lambda a: st.tuples(st.just(a), st.lists(st.floats(width=32), min_size=len(a), max_size=len(a)))
)


@given(pairs_of_any, noises)
def test_a_verdict_does_not_depend_on_the_order_of_sides(
    values: tuple[list[float], list[float]], noise: float | None
) -> None:
    """Both ways the same difference, relative to the same, with the values the other way round."""
    one = compared(record(values[0]), record(values[1]), noise)
    other = compared(record(values[1]), record(values[0]), noise)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        np.testing.assert_equal((one[0], one[1]), (other[1], other[0]))
        assert one[2:5] == other[2:5]


@given(any_floats, noises)
def test_identical_bits_never_differ(values: list[float], noise: float | None) -> None:
    """Whatever they are of, nothing is found."""
    assert compared(record(values), record(list(values)), noise) is None


@given(st.lists(finite, min_size=1, max_size=8), st.floats(0, 1e3), st.data())
def test_differences_larger_than_the_margin_are_beyond_noise(
    values: list[float], noise: float, data: st.DataObject
) -> None:
    """Of one element among many; what noise itself makes is not, nor is one unit in the last place."""
    at = data.draw(st.integers(0, len(values) - 1))
    a = array(values)
    b = a.astype("float64")
    b[at] += 100 * noise + 1e-4 * (np.abs(b).max() + 1)
    assert is_beyond(a, b, noise)
    assert is_beyond(b, a, noise)

    assume(np.abs(a).max() > 1e-30)  # below, a unit in the last place is no small share
    within = a.copy()
    within[at] = np.nextafter(within[at], np.float32(np.inf))
    assert not is_beyond(a, within, noise)
    moved = array(list(a.astype("float64") + noise))
    assert not is_beyond(a, moved, 1.001 * noise)


@given(
    st.lists(st.floats(1.0, 2.0, width=32), min_size=1, max_size=8), st.floats(1e-6, 10), st.integers(-60, 60)
)
def test_judgement_is_free_of_scale(values: list[float], change: float, power: int) -> None:
    """Gradients of 1e-6 are told from those of 1e-5 as those of 1 are from those of 10."""
    a = array(values)
    b = array(list(a.astype("float64") * (1 + change)))
    factor = np.float32(2.0**power)
    assert is_beyond(a, b, 1e-7) == is_beyond(a * factor, b * factor, 1e-7 * float(factor))
    assert is_beyond(a * factor, 10 * a * factor, 1e-7 * float(factor))


@given(any_floats, st.data(), st.floats(0, allow_nan=False))
def test_no_number_equals_no_number_and_is_beyond_all_others(
    values: list[float], data: st.DataObject, noise: float
) -> None:
    """NaN of other bits is the same; NaN and infinity against what is finite never are, in whatever noise."""
    at = data.draw(st.integers(0, len(values) - 1))
    a, b = array(values), array(values)
    a[at], b[at] = np.nan, np.array([0xFFC00001], "uint32").view("float32")[0]
    assert a.tobytes() != b.tobytes()
    assert compared(record(a), record(b), noise) is None
    b[at] = data.draw(finite)
    assert is_beyond(a, b, noise)
    for infinity in (np.inf, -np.inf):
        a[at] = infinity
        assert is_beyond(a, b, noise)
        assert compared(record(a), record(a.copy()), noise) is None


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_on_both_sides_hides_no_difference_beside_it(special: float) -> None:
    """One element that overflowed alike does not make the others agree."""
    assert is_beyond([special, 1.0], [special, 5.0], 0.0)
    assert not is_beyond([special, 1.0], [special, 1.0 + 2**-23], 0.0)


@settings(max_examples=60)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(STAGES),
            st.tuples(st.sampled_from([0.0, 1.0, 2.0]), st.sampled_from([0.0, 1.0, 2.0])),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_differences_are_all_found_in_the_order_of_steps_and_stages(
    steps: list[dict[str, tuple[float, float]]],
) -> None:
    """Both ways round, and none where there is none."""

    def trace(side: int) -> Trace:
        made = Trace("trace", [StepTrace(0, number) for number in range(len(steps))])
        for step, values in zip(made.steps, steps, strict=True):
            for stage, pair in values.items():
                step.add(stage, f"value of {stage}", pair[side], "decides")
        return made

    expected = [
        (number, stage)
        for number, values in enumerate(steps)
        for stage in STAGES
        if stage in values and values[stage][0] != values[stage][1]
    ]
    one, other = differences(trace(0), trace(1), {}), differences(trace(1), trace(0), {})
    assert [(each.step, each.stage) for each in one] == expected
    assert [(each.step, each.stage) for each in other] == expected
    assert decides(one) == decides(other) == bool(expected)
    assert differences(trace(0), trace(0)) == []


# --- Curves ---------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e9, 1e9), max_size=60), st.integers(2, 30))
def test_a_curve_rises_where_its_values_do(values: list[float], width: int) -> None:
    """Bars of sorted values are sorted, from the lowest to the highest, and as many as fit."""
    shown = curve(sorted(values), width)
    assert len(shown) == min(len(values), width)
    assert list(shown) == sorted(shown)
    assert set(shown) <= set("▁▂▃▄▅▆▇█")
    assert curve(sorted(values, reverse=True), width) == shown[::-1] or len(values) > width
    if len(values) > 1 and max(values) > min(values):
        assert (shown[0], shown[-1]) == ("▁", "█")


@given(st.lists(st.floats(-1e9, 1e9) | st.sampled_from([math.inf, -math.inf, math.nan]), max_size=20))
def test_what_is_not_finite_is_marked_in_a_curve(values: list[float]) -> None:
    """At its place, and the others as if it were not there."""
    shown = curve(values)
    assert [bar == "!" for bar in shown] == [not math.isfinite(value) for value in values]
    finite_values = [value for value in values if math.isfinite(value)]
    assert shown.replace("!", "") == curve(finite_values)


# --- What ends show -------------------------------------------------------------------------------------


@pytest.mark.soak
def test_a_report_that_goes_wrong_later_is_seen_with_its_epoch() -> None:
    def late(model: keras.Model, data: Any) -> Any:
        logs = dict(kerasx.train_step(model, data))
        epoch = (model.optimizer.iterations - 1) // 8
        return {**logs, "loss": logs["loss"] * tf.where(epoch >= 2, 100.0, 1.0), "own": logs["loss"]}

    def right(model: keras.Model, data: Any) -> Any:
        logs = dict(kerasx.train_step(model, data))
        return {**logs, "own": logs["loss"]}

    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(64, 4)).astype("float32"), rng.normal(size=(64, 1)).astype("float32"))
    result = kerasx.Engine().compare(
        right, late, model=lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]),
        dataset=rows, loss="mse", metrics=[], epochs=4, batch_size=8,
    )  # fmt: skip
    pair = only_pair(result)
    assert (pair.verdict, pair.affects) == ("diverged", "report")
    assert pair.first_difference is not None
    assert (pair.first_difference.epoch, pair.first_difference.quantity) == (2, "reported loss")
    assert "same weights" in pair.said


@pytest.mark.soak
def test_other_numbers_of_epochs_are_said_to_be_that() -> None:
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(64, 4)).astype("float32"), rng.normal(size=(64, 1)).astype("float32"))
    result = kerasx.Engine().compare(
        model=lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]),
        dataset=rows, loss="mse", metrics=[], batch_size=8, vary={"epochs": [1, 2]},
    )  # fmt: skip
    pair = only_pair(result)
    assert pair.verdict == "diverged"
    assert "1 epochs in" in pair.said
    assert "2 in" in pair.said
