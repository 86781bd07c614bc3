"""Which gradients may be missing, and where they may have been cut."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kerasx.parity.explain.numbers import as_written
from kerasx.parity.explain.outcome import Outcome
from kerasx.parity.explain.search import Search
from kerasx.parity.explain.target import array, named, number, text, training
from kerasx.parity.records import StepTrace
from kerasx.parity.reference.deviation import Deviation
from kerasx.parity.reference.of_gradient import By, Clip, MissingGradients
from kerasx.parity.reference.of_loss import Detached
from kerasx.parity.reference.step import TERMS

# How near an estimate has to come to a written number.
CLOSE = 1e-4


def missing(ours: StepTrace, theirs: StepTrace) -> list[Deviation]:
    """Variables that the reference has a gradient of and the side has none, or one of zeros."""
    prefix = "gradient of "
    own = {q.removeprefix(prefix) for q in ours.records if q.startswith(prefix)}
    other = {q.removeprefix(prefix) for q in theirs.records if q.startswith(prefix)}
    received = bool(other)
    none = {name for name in own if text(theirs, f"tape gradient of {name}") == "none"}
    zeros = {
        name
        for name in own
        if (value := array(theirs, f"{prefix}{name}")) is not None
        and not np.any(value)
        and (mine := array(ours, f"{prefix}{name}")) is not None
        and np.any(mine)
    }
    absent = (own - other) if received else set()
    found: list[Deviation] = []
    for names, skipped in ((none | absent, True), (zeros, False), (none | absent | zeros, True)):
        if names:
            found.append(MissingGradients(variables=tuple(sorted(names)), skipped=skipped))
    return found


def detached(here: Outcome) -> list[Deviation]:
    """Outputs whose losses may be numbers alone."""
    terms = here.memory.get((TERMS, here.progress[0]), (None,))[0] or []
    return [Detached(output=term.name) for term in terms] if len(terms) > 1 else []


def clips(search: Search) -> list[Deviation]:
    """Limits at which the gradients that the optimizer received were cut."""
    globals_, norms, values, scales = [], [], [], []
    for _, step in training(search.target):
        received = named(step, "gradient of ")
        taken = named(step, "tape gradient of ")
        scale = number(step, "slot loss_scale/dynamic_scale") or number(step, "slot dynamic_scale") or 1.0
        if not received:
            continue
        scales.append(scale)
        both = [(received[name], taken[name]) for name in received if name in taken]
        if _is_cut(_norm(ours for ours, _ in both), _norm(theirs for _, theirs in both)):
            globals_.append(_norm(received.values()))
        norms += [_norm([ours]) for ours, theirs in both if _is_cut(_norm([ours]), _norm([theirs]))]
        values += [_peak(ours) for ours, theirs in both if _is_cut(_peak(ours), _peak(theirs))]
    found: list[Deviation] = []
    kinds: tuple[tuple[By, list[float]], ...] = (
        ("global-norm", globals_),
        ("norm", norms),
        ("value", values),
    )
    for by, sizes in kinds:
        if not sizes:
            continue
        limit = float(np.median(sizes))
        found.append(Clip(by=by, limit=as_written(limit, CLOSE)))
        if scales and scales[0] > 1.0:
            found.append(Clip(by=by, limit=as_written(limit / scales[0], CLOSE), unscales=True))
    return found


def _is_cut(size: float, before: float) -> bool:
    """Whether one is smaller than the other by more than the rounding of a gradient that is not cut."""
    return size < before * (1.0 - CLOSE)


def _peak(value: Any) -> float:
    return float(np.abs(value).max()) if value.size else 0.0


def _norm(values: Any) -> float:
    return math.sqrt(sum(float(np.sum(np.square(value.astype(np.float64)))) for value in values))
