"""All deviations, under two optimizers; and how often trainings that are the same are said to differ."""

from __future__ import annotations

import pytest
from deviating import is_seen, pairs
from deviations import DEVIATIONS, SETTINGS
from rounding import MODELS, VARIED, false_alarms


@pytest.mark.parametrize("optimizer", ["own", "adam"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_deviation_is_seen_and_no_twin_is_accused(setting: str, optimizer: str) -> None:
    found = pairs(setting, optimizer)
    wrong = [is_seen(DEVIATIONS[name], pair) for name, pair in found.items() if name in DEVIATIONS]
    assert [each for each in wrong if each is not None] == []
    accused = {name: pair.said for name, pair in found.items() if name not in DEVIATIONS and not pair.agrees}
    assert accused == {}


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", MODELS)
def test_rounding_is_never_taken_for_a_difference(name: str, seed: int) -> None:
    """216 comparisons of trainings that are the same: 6 models, 12 seeds, 3 ways of executing them."""
    assert [alarm for vary in VARIED for alarm in false_alarms(name, seed, vary)] == []
