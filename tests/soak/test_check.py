"""Every scenario of a check wakes what it is for, and every installed strategy passes all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import checked  # noqa: E402
from checking import MINE, check, verdicts  # noqa: E402


@pytest.mark.parametrize("scenario", checked.CAUSES)
def test_every_scenario_wakes_what_sleeps_in_the_plain_one(scenario: str) -> None:
    reference = f"{Path(checked.__file__)}:{scenario.replace('-', '_')}"
    plain, woken = kerasx.Engine().check(reference, scenarios=["plain", scenario]).scenarios
    assert plain.passed
    assert not woken.passed
    cause = checked.CAUSES[scenario]
    if cause is not None:
        assert woken.causes == (cause,)


@pytest.mark.parametrize("strategy", ["compiled-fit", "custom-step", "gradient-tape"])
def test_installed_strategies_pass(strategy: str) -> None:
    found = kerasx.Engine().check(strategy)
    assert found.passed
    assert len(found.scenarios) == 19


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


def test_a_step_that_is_meant_to_differ_is_held_to_the_rest() -> None:
    found = check("sharpness_aware", "plain", "dropout-and-batch-normalization")
    assert found.scenarios[0].passed
    # Statistics move with its second forward pass too, which it does not say.
    assert not found.scenarios[1].passed
    expected = check("mixed_precision", "mixed-precision", expect=["loss-scale"])
    assert (expected.passed, expected.scenarios[0].verdict) == (True, "expected")
    with pytest.raises(kerasx.UsageError, match=r"Did you mean `loss-scale`"):
        check("mixed_precision", "plain", expect=["loss-scales"])
