"""A sample of the comparisons that must not take rounding for a difference: all of them are in tests/soak."""

from __future__ import annotations

import pytest
from rounding import VARIED, false_alarms


@pytest.mark.parametrize(
    ("name", "seed", "way"),
    [("normalized", 1, 0)],
)
def test_rounding_is_not_taken_for_a_difference(name: str, seed: int, way: int) -> None:
    assert false_alarms(name, seed, VARIED[way]) == []
