"""Every scenario of a check wakes what it is for, and every installed strategy passes all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import checked  # noqa: E402


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
