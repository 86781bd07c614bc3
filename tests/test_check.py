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

import kerasx
import kerasx.testing
from kerasx.startup import start_tensorflow

start_tensorflow()

import checked  # noqa: E402
import keras  # noqa: E402

MINE = f"{Path(checked.__file__)}:"


def check(name: str, *scenarios: str, **options: Any) -> kerasx.Check:
    if "loss" not in options and name in ("GuideModel", "Keras2", "sharpness_aware", "mixed_precision"):
        # They leave it to the model: which it is need not be found out.
        options["loss"] = {"name": "sparse_categorical_crossentropy", "from_logits": True}
    return kerasx.Engine().check(MINE + name, scenarios=scenarios, **options)


def verdicts(found: kerasx.Check) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {each.name: (each.verdict, each.causes) for each in found.scenarios}


def test_a_step_that_does_all_that_fit_does_passes() -> None:
    """In all nineteen scenarios: see tests/soak."""
    names = ["plain", "dropout-and-batch-normalization", "several-outputs", "accumulation", "validation"]
    found = kerasx.Engine().check("custom-step", scenarios=names)
    assert found.passed
    assert [(each.name, each.verdict) for each in found.scenarios] == [(name, "identical") for name in names]


@pytest.mark.parametrize("scenario", ["masks", "mixed-precision"])
def test_a_cause_that_sleeps_in_the_plain_scenario_is_woken_by_another(scenario: str) -> None:
    """The other scenarios are in tests/soak."""
    plain, woken = check(scenario.replace("-", "_"), "plain", scenario).scenarios
    assert plain.passed
    assert not woken.passed
    cause = checked.CAUSES[scenario]
    assert woken.causes == (() if cause is None else (cause,))


def test_the_guides_train_step_forgets_rows_and_the_scaled_loss() -> None:
    found = check("GuideModel", "plain", "short-last-batch", "sample-weights", "mixed-precision")
    assert verdicts(found) == {
        "plain": ("identical", ()),
        "short-last-batch": ("diverged", ("loss-report-unweighted",)),
        "sample-weights": ("failed", ()),
        "mixed-precision": ("diverged", ("loss-scale",)),
    }
    assert "too many values to unpack" in found.scenarios[2].said
    assert "checked.py, line" in found.scenarios[2].said


def test_metrics_of_a_models_own_are_no_difference_but_hide_those_of_keras() -> None:
    """The mean of the loss that Keras keeps in evaluations is one of those."""
    found = check("GuideOwnMetrics", "plain")
    assert [each.name for each in found.idioms] == ["metrics"]
    (plain,) = found.scenarios
    assert plain.causes == ("loss-report-discarded",)
    assert plain.explanation is not None
    assert plain.explanation.affects == "report"
    assert "in the evaluation" in plain.explanation.findings[0].sentence


def test_a_loop_is_checked_with_the_loss_that_it_computes() -> None:
    found = check("guide_loop", "plain", "several-outputs", "frozen-layers")
    assert [each.verdict for each in found.scenarios] == ["diverged", "not applicable", "diverged"]
    assert found.causes == ("loss-report-last-batch",)
    assert any("computes its loss by itself" in note for note in found.notes)


def test_idioms_of_keras_2_are_answered_with_what_to_write_today() -> None:
    found = check("Keras2", "plain")
    assert found.causes == ("loss-report-shim",)
    assert {each.name for each in found.idioms} == {"compiled_loss", "compiled_metrics"}
    line = Path(checked.__file__).read_text().splitlines()[found.idioms[0].line - 1]
    assert found.idioms[0].name in line
    assert "compute_loss" in found.idioms[0].instead


def test_a_step_that_is_meant_to_differ_is_held_to_the_rest() -> None:
    found = check("sharpness_aware", "plain", "dropout-and-batch-normalization")
    assert found.scenarios[0].passed
    # Statistics move with its second forward pass too, which it does not say.
    assert not found.scenarios[1].passed
    expected = check("mixed_precision", "mixed-precision", expect=["loss-scale"])
    assert (expected.passed, expected.scenarios[0].verdict) == (True, "expected")
    with pytest.raises(kerasx.UsageError, match=r"Did you mean `loss-scale`"):
        check("mixed_precision", "plain", expect=["loss-scales"])


def test_a_model_is_checked_on_its_own_architecture() -> None:
    found = check(
        "OwnArchitecture", "plain", "masks", "clipping", dataset=MINE + "rows", loss="mean_squared_error"
    )
    assert verdicts(found) == {
        "plain": ("diverged", ("training-flag",)),
        "masks": ("not applicable", ()),
        "clipping": ("diverged", ("training-flag",)),
    }
    assert check("built", "plain", "sample-weights").passed
    with pytest.raises(kerasx.UsageError, match="--loss"):
        check("OwnArchitecture", dataset=MINE + "rows")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("raising", "ValueError: boom"),
        ("nothing", "has to return a dictionary of logs, and returned NoneType"),
        ("gone", "there is no `gone` in it"),
        ("CAUSES", "CAUSES` is dict"),
    ],
)
def test_what_cannot_be_checked_is_answered(name: str, said: str) -> None:
    with pytest.raises(kerasx.UsageError) as raised:
        check(name)
    assert said in str(raised.value)


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


def test_the_command_prints_one_document_and_exits_with_1_where_it_differs() -> None:
    done = _command("check", MINE + "Keras2", "--scenario", "plain", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert (found["passed"], found["scenarios"][0]["name"]) == (False, "plain")
    assert found["scenarios"][0]["causes"] == ["loss-report-shim"]
    assert "deprecated" not in done.stderr
    shown = " ".join(_command("check", MINE + "Keras2", "--scenario", "plain", "-q").stdout.split())
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


def _command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kerasx", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"COLUMNS": "160"},
        check=False,
    )
