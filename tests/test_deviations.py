"""A sample of the deviations, at least one of each stage: all of them are in tests/soak."""

from __future__ import annotations

import pytest
from deviating import is_seen, pairs
from deviations import DEVIATIONS, STAGES

SAMPLE = {
    "classes": (
        "batch-order-reversed-batches",
        "batch-size-dropped-remainder",
        "label-format",
        "initial-weights",
        "trainable-set-frozen-layer",
        "loss-reduction-outputs",
        "loss-batch-divisor",
        "gradient-clip-global-norm",
        "optimizer-bypassed-plain-sgd",
        "multiple-applies-two-groups",
        "metric-label-format-labels",
        "metric-not-reset",
        "loss-report-discarded",
        "classes/sum-of-squares",
        "classes/persistent-tape",
    ),
    "regularized": (
        "training-flag",
        "extra-forward-metrics",
        "rng-stream-reseeded",
        "loss-extra-twice",
        "loss-extra-evaluation",
        "regularized/penalty-by-hand",
    ),
    "clipped": ("state-not-updated-restored", "extra-forward-statistics", "clipped/stateless-call"),
    "half": ("loss-scale", "loss-dtype-overflow", "half/cast-by-hand"),
}
CASES = [
    pytest.param("classes", "own", marks=pytest.mark.soak),
    ("regularized", "own"),
    ("clipped", "own"),
    ("half", "adam"),
]


@pytest.mark.parametrize(("setting", "optimizer"), CASES)
def test_deviations_are_seen_where_they_are_and_twins_are_not_accused(setting: str, optimizer: str) -> None:
    found = pairs(setting, optimizer, lambda name: name in SAMPLE[setting])
    assert set(found) == set(SAMPLE[setting])
    wrong = [is_seen(DEVIATIONS[name], pair) for name, pair in found.items() if name in DEVIATIONS]
    assert [each for each in wrong if each is not None] == []
    accused = {name: pair.said for name, pair in found.items() if name not in DEVIATIONS and not pair.agrees}
    assert accused == {}


def test_the_sample_has_all_stages() -> None:
    names = [name for each in SAMPLE.values() for name in each if name in DEVIATIONS]
    assert {DEVIATIONS[name].stage for name in names} == set(STAGES)
