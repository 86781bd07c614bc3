"""A step is held against `fit` in scenarios: what passes, what fails, and what is said of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import kerasx
import kerasx.testing
from kerasx.startup import start_tensorflow

start_tensorflow()

import checked  # noqa: E402
import keras  # noqa: E402
from checking import MINE, check  # noqa: E402

from kerasx.cli.app import build_app  # noqa: E402
from kerasx.parity.check.idioms import idioms_in  # noqa: E402


@pytest.mark.soak
def test_a_step_that_does_all_that_fit_does_passes() -> None:
    """In all nineteen scenarios: see tests/soak."""
    names = ["plain", "dropout-and-batch-normalization", "several-outputs"]
    found = kerasx.Engine().check("custom-step", scenarios=names)
    assert found.passed
    assert [(each.name, each.verdict) for each in found.scenarios] == [(name, "identical") for name in names]


def test_idioms_of_keras_2_are_answered_with_what_to_write_today() -> None:
    found = check("Keras2", "plain")
    assert found.causes == ("loss-report-shim",)
    assert {each.name for each in found.idioms} == {"compiled_loss", "compiled_metrics"}
    line = Path(checked.__file__).read_text().splitlines()[found.idioms[0].line - 1]
    assert found.idioms[0].name in line
    assert "compute_loss" in found.idioms[0].instead


@pytest.mark.soak
def test_idioms_are_looked_for_in_what_a_builder_builds_and_in_its_bases() -> None:
    found = check("built_keras_2", "plain")
    assert {each.name for each in found.idioms} == {"compiled_loss", "compiled_metrics"}


def test_idioms_are_looked_for_in_the_functions_that_a_step_calls() -> None:
    assert [each.name for each in idioms_in(checked.calls_keras_2)] == ["compiled_metrics"]


def test_idioms_that_keras_has_no_longer_are_answered_where_they_raise() -> None:
    with pytest.raises(kerasx.UsageError, match="no attribute 'get_scaled_loss'") as raised:
        check("Keras2Gone", "plain", loss="mean_squared_error")
    found = str(raised.value)
    line = Path(checked.__file__).read_text()[: Path(checked.__file__).read_text().index(".get_scaled_loss")]
    place = f"checked.py:{line.count(chr(10)) + 1}"
    assert f"{place}: `get_scaled_loss` is of Keras 2. Today: `optimizer.scale_loss(loss)`." in found
    assert "get_unscaled_gradients" not in found  # which did not raise yet
    said = [each for each in raised.value.lines if "Today: " in each]
    assert [each.split("`")[1] for each in said] == ["get_unscaled_gradients", "compiled_metrics"]


@pytest.mark.parametrize(
    ("name", "options", "described"),
    [
        ("built", {}, "sparse_categorical_crossentropy, as the model is compiled"),
        ("own_architecture", {"dataset": MINE + "rows"}, "mean_squared_error, as the model is compiled"),
    ],
)
def test_the_loss_that_a_model_is_compiled_with_is_told(
    name: str, options: dict[str, str], described: str
) -> None:
    assert check(name, "plain", **options).loss == described


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("raising", "ValueError: boom"),
        ("leaving", "SystemExit: bye"),
        ("nothing", "has to return a dictionary of logs, and returned NoneType"),
        ("gone", "there is no `gone` in it"),
        ("CAUSES", "CAUSES` is dict"),
    ],
)
def test_what_cannot_be_checked_is_answered(name: str, said: str) -> None:
    with pytest.raises(kerasx.UsageError) as raised:
        check(name)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "adversarial",
            "which has no `call`: its own step is all that can train it, .* Give the class a `call`",
        ),
        ("adversarial_call", "whose `compile` does not take all that Keras's does .*`super.*compile`"),
        ("without_loss", "no loss that Keras knows: .* Name the loss that it is for, as in `--loss"),
    ],
)
def test_what_fit_would_not_train_is_refused_with_what_to_do(name: str, said: str) -> None:
    with pytest.raises(kerasx.UsageError, match=said):
        check(name, "plain", dataset=MINE + "rows")


def test_a_class_that_is_not_made_of_inputs_and_outputs_is_refused() -> None:
    with pytest.raises(kerasx.UsageError, match=r"made as `Adversarial\(inputs, outputs\)`.*Name a function"):
        check("Adversarial", "plain", loss="mean_squared_error")


def test_a_step_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kerasx.parity.check.check._LIMIT", 3.0)
    with pytest.raises(kerasx.UsageError, match="within 3 seconds, and was ended"):
        check("endless", loss="mean_squared_error")


def test_the_command_shows_the_users_own_lines_and_exits_with_2() -> None:
    done = _command("check", MINE + "raising", "--quiet")
    assert done.returncode == 2
    assert "in raising: _helper()" in done.stderr
    assert 'in _helper: raise ValueError("boom")' in done.stderr
    assert "Traceback" not in done.stderr


def test_a_step_that_ends_the_program_is_no_difference() -> None:
    done = _command("check", MINE + "leaving", "--json", "--quiet")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"Error: Tracing {MINE}leaving failed: SystemExit: bye ({MINE[:-1]}, line " in done.stderr


@pytest.mark.soak
def test_a_step_that_ends_the_program_in_one_scenario_fails_in_it() -> None:
    found = check("leaving_with_momentum", "plain", "schedule-and-momentum", loss="mean_squared_error")
    assert [each.verdict for each in found.scenarios] == ["identical", "failed"]
    assert found.scenarios[1].said.startswith("it raises SystemExit: 0 (")


def test_the_command_prints_one_document_and_exits_with_1_where_it_differs() -> None:
    done = _command("check", MINE + "Keras2", "--scenario", "plain", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert (found["passed"], found["scenarios"][0]["name"]) == (False, "plain")
    assert found["scenarios"][0]["causes"] == ["loss-report-shim"]
    assert "deprecated" not in done.stderr
    arguments = ("check", MINE + "Keras2", "--scenario", "plain", "-q")
    shown = " ".join(CliRunner().invoke(build_app(), arguments, env={"COLUMNS": "160"}).stdout.split())
    assert "differs from fit in 1 of 1 scenarios" in shown
    assert "is of Keras 2. Today:" in shown


def test_assert_matches_fit_passes_or_fails_with_the_explanation() -> None:
    x = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
    y = np.arange(40) % 3
    batches = [(x[:16], y[:16]), (x[16:32], y[16:32]), (x[32:], y[32:])]
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with pytest.raises(kerasx.UsageError, match="not compiled"):
        kerasx.testing.assert_matches_fit(model, checked.masks, batches)
    model.compile("adam", criterion, metrics=["accuracy"])
    before = model.get_weights()
    kerasx.testing.assert_matches_fit(model, checked.masks, batches)
    with pytest.raises(AssertionError, match=r"by a constant 8.*\[loss-batch-divisor\]") as raised:
        kerasx.testing.assert_matches_fit(model, checked.short_last_batch, batches)
    assert "Change: Divide by the rows of the batch." in str(raised.value)
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))


def test_assert_matches_fit_leaves_what_metrics_have_counted() -> None:
    x, y = np.ones((20, 6), "float32"), np.arange(20) % 3
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", criterion, metrics=["accuracy"])
    model.fit(x, y, verbose=0)
    before = [each.numpy() for each in model.metrics_variables]
    assert any(each.any() for each in before)
    kerasx.testing.assert_matches_fit(model, checked.masks, [(x, y)])
    after = [each.numpy() for each in model.metrics_variables]
    assert all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("batches", "said"),
    [
        ([], "There is no batch"),
        ((each for each in [(np.ones((4, 6)), np.ones((4, 3)))]), "generator, which hands them out once"),
        ((np.ones((4, 6)), np.ones((4, 3))), r"Batch 0 is ndarray, .* give `\[\(x, y\)\]`"),
    ],
)
def test_assert_matches_fit_refuses_what_is_no_batches(batches: Any, said: str) -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    with pytest.raises(kerasx.UsageError, match=said):
        kerasx.testing.assert_matches_fit(model, checked.masks, batches)


def test_assert_matches_fit_tells_steps_apart_that_a_model_takes_together() -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse", steps_per_execution=2)
    rng = np.random.default_rng(0)
    batches = [(rng.normal(size=(4, 6)), rng.normal(size=(4, 3))) for _ in range(3)]
    kerasx.testing.assert_matches_fit(model, checked.masks, batches)
    assert model.steps_per_execution == 2


@pytest.mark.soak
def test_assert_matches_fit_takes_the_end_of_the_program_for_an_error() -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    with pytest.raises(kerasx.UsageError, match="Tracing the step failed: SystemExit: bye"):
        kerasx.testing.assert_matches_fit(model, checked.leaving, [(np.ones((4, 6)), np.ones((4, 3)))])


def _command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kerasx", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"COLUMNS": "160"},
        check=False,
    )
