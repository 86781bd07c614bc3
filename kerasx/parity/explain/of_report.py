"""What may be otherwise in what is measured and reported."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

import numpy as np

from kerasx.parity.explain.of_data import scope_of
from kerasx.parity.explain.of_forward import extra_passes
from kerasx.parity.explain.of_metrics import measured_otherwise
from kerasx.parity.explain.outcome import Deviations, Outcome
from kerasx.parity.explain.search import Search
from kerasx.parity.explain.target import number, text
from kerasx.parity.records import StepTrace
from kerasx.parity.reference.deviation import Deviation, Scope
from kerasx.parity.reference.of_forward import ExtraForward
from kerasx.parity.reference.of_loss import OfTerms
from kerasx.parity.reference.of_metrics import NotReset, ResetWithin
from kerasx.parity.reference.of_report import (
    LastLogs,
    LossDiscarded,
    LossMoving,
    LossUnweighted,
    MetricMissing,
    MetricsMoving,
    OtherLossReported,
    Reported,
    ResetEachStep,
)
from kerasx.parity.reference.rows import count_of
from kerasx.parity.reference.step import TERMS

# Of so many rows an evaluation is tried in every step, and when an epoch ends.
_MOST_IN_STEP, _MOST_ROWS = 10_000, 100_000


def report(search: Search, here: Outcome) -> Iterator[Sequence[Deviations]]:
    """What is reported otherwise: names first, then the loss, then metrics."""
    before, scope = here.deviations, scope_of(here)
    assert here.first is not None
    place = here.progress[0]
    theirs = search.target.records[place]
    if here.first.kind == "epoch":
        yield from _of_epoch(search, here)
        return
    named = [*_names(here, search, scope), *_missing(here, search, scope, "returned")]
    yield [(*before, each) for each in named]
    differing = {
        re.sub(r"^(returned|reported|epoch's) (val_)?", "", each.quantity)
        for each in here.here
        if each.stage == "report" and not each.quantity.endswith(" names")
    }
    number = sum(
        (step.kind, step.epoch) == (theirs.kind, theirs.epoch) for step in search.target.records[:place]
    )
    whole = [*_resets(differing, scope), *_within(scope, (number,))]
    losses = _losses(here, search, scope) if "loss" in differing else []
    outputs = tuple(sorted(name for name in differing if name.endswith("_loss")))
    if outputs:
        tracked = [
            each.model_copy(update={"tracked": True})
            if isinstance(each, OfTerms) and f"{each.output}_loss" in (*outputs, "None_loss")
            else each
            for each in before
        ]
        if tracked != list(before):
            yield [tuple(tracked)]
        losses.append(LossUnweighted(scope=scope, of=outputs))
        losses.append(LossUnweighted(scope=scope))
    passes = [
        each for each in extra_passes(search, theirs, scope) if isinstance(each, ExtraForward) and each.used
    ]
    metrics = [name for name in sorted(differing) if name != "loss" and not name.endswith("_loss")]
    beside: list[Deviation] = [
        OtherLossReported(scope=scope, what="mean-output", weighted=weighted, tracked=True)
        for weighted in (True, False)
        if losses
    ]
    yield [(*before, each) for each in (*losses, *beside, *whole)]
    if differing == {"loss"} and scope == "training":
        # Of all rows there are, as an epoch of the plan may be a part of them.
        yield [(*before, LossMoving(every_step=True, of_all=_rows(search, _MOST_IN_STEP)[-1]))]
    if outputs:
        yield [(*before, LossUnweighted(scope=scope, of=outputs), LossUnweighted(scope=scope))]
    yield [(*before, each) for each in passes]
    if metrics:
        measured = measured_otherwise(search, here, metrics, scope)
        yield [(*before, *each) for each in measured]
        if losses:
            yield [(*before, loss, *each) for loss, each in itertools.product(losses, measured)]


def _resets(differing: set[str], scope: Scope) -> list[Deviation]:
    """Metrics that begin anew in each step, or not when an epoch does."""
    alike = tuple(sorted(differing))
    found: list[Deviation] = [ResetEachStep(scope=scope), ResetEachStep(scope=scope, metrics=alike)]
    aparts = (False, True) if scope == "training" else (False,)
    return [
        *found,
        *(NotReset(scope=scope, metrics=names, apart=apart) for apart in aparts for names in ((), alike)),
    ]


def _within(scope: Scope, steps: Sequence[int] = range(1, 5)) -> list[Deviation]:
    """Metrics that begin anew once in an epoch, or time and again, with or without an evaluation.

    Args:
        scope: Of which steps.
        steps: Before which of an epoch it may be: where a step reports, before the first that differs.
    """
    return [
        ResetWithin(scope=scope, step=step, every=every, evaluates=evaluates)
        for evaluates, every, step in itertools.product((False, True), (False, True), steps)
        if step and not (every and step == 1)  # which is each step
    ]


def _names(here: Outcome, search: Search, scope: Scope) -> list[Deviation]:
    """Names that the side returns beside the trackers', or leaves out."""
    ours, theirs = here.step, search.target.records[here.progress[0]]
    own, other = (_returned(step) for step in (ours, theirs))
    if own == other or not other:
        return []
    added, left_out = tuple(sorted(other - own)), tuple(sorted(own - other))
    found: list[Deviation] = []
    # A batch's own loss may be among what is added.
    raw = tuple(name for name in added if _is_raw_loss(ours, theirs, name, scope))
    rest = tuple(name for name in added if name not in raw)
    for tracked in (True, False):
        found.append(LastLogs(scope=scope, added=rest, left_out=left_out, raw=raw, tracked=tracked))
        if raw:
            found.append(LastLogs(scope=scope, added=added, left_out=left_out, tracked=tracked))
    if "loss" in other and "loss" in own:
        found.append(LastLogs(scope=scope, added=rest, left_out=left_out, raw=(*raw, "loss"), tracked=False))
        found.append(LastLogs(scope=scope, added=rest, left_out=left_out, raw=(*raw, "loss")))
    return found


def _missing(here: Outcome, search: Search, scope: Scope, quantity: str) -> list[Deviation]:
    """Metrics of the model that the side does not measure, and so does not return, or report of an epoch."""
    steps = (here.step, search.target.records[here.progress[0]])
    own, other = (_returned(step, quantity) for step in steps)
    left_out = tuple(sorted(own - other - {"loss"}))
    return [MetricMissing(scope=scope, names=left_out)] if other < own and left_out else []


def _returned(step: StepTrace, quantity: str = "returned") -> set[str]:
    names = (text(step, f"{quantity} names") or "").split(", ")
    if quantity == "epoch's":
        return {name for name in names if name and not name.startswith("val_")}
    return {name.removeprefix("val_") for name in names if name}


def _is_raw_loss(ours: StepTrace, theirs: StepTrace, name: str, scope: Scope) -> bool:
    prefix = "val_" if scope == "evaluation" else ""
    value, loss = number(theirs, f"returned {prefix}{name}"), number(ours, "loss")
    return value is not None and loss is not None and bool(np.isclose(value, loss, rtol=1e-5))


def _losses(here: Outcome, search: Search, scope: Scope) -> list[Deviation]:
    found: list[Deviation] = [
        LossDiscarded(scope=scope),
        LossDiscarded(scope=scope, tracked=True),
        LossDiscarded(scope=scope, returned=False),
        LossDiscarded(scope=scope, given=True),
        LossUnweighted(scope=scope),
    ]
    added = [value[1] for key, value in here.memory.items() if isinstance(key, tuple) and key[0] == TERMS]
    kinds: tuple[Reported, ...] = ("mean-output",)
    if any(float(each) for each in added):
        kinds = (*kinds, "without-extras")
    found += [
        OtherLossReported(scope=scope, what=what, weighted=weighted)
        for what, weighted in itertools.product(kinds, (True, False))
    ]
    return found


def _rows(search: Search, most: int) -> list[bool]:
    """Whether rows that are evaluated may be those of an epoch, and all where these are more, and not too
    many."""
    epoch = sum(count_of(batch) for batch in search.bench.plan.epochs[0] if batch is not None)
    return [False, True] if epoch < count_of(search.bench.rows) <= most else [False]


def _of_epoch(search: Search, here: Outcome) -> Iterator[Sequence[Deviations]]:
    """What is seen only in what an epoch reports, as of a loop whose steps return nothing."""
    before = here.deviations
    differing = {
        re.sub(r"^epoch's ", "", each.quantity)
        for each in here.here
        if each.stage == "report" and not each.quantity.endswith(" names")
    }
    of_training = {name for name in differing if not name.startswith("val_")}
    missing = _missing(here, search, "training", "epoch's")
    yield [(*before, each) for each in missing]
    if of_training:
        found: list[Deviation] = [
            LossUnweighted(),
            *_resets(of_training, "training"),
            OtherLossReported(what="mean-output"),
            LossDiscarded(),
            LossDiscarded(returned=False),
            LastLogs(added=("batch",)),
        ]
        yield [(*before, each) for each in found]
        moving = [
            (LossMoving(of_all=of_all), MetricsMoving(of_all=of_all)) for of_all in _rows(search, _MOST_ROWS)
        ]
        yield [(*before, each) for pair in moving for each in pair]
        yield [(*before, *pair) for pair in moving]
        within = _within("training")
        yield [(*before, each) for each in within]
        yield [(*before, *each) for each in itertools.product(missing, (*found, *within))]
        steps = [step for step in search.target.records if step.kind == "training"]
        passes = [
            each
            for each in extra_passes(search, steps[-1], "training")
            if isinstance(each, ExtraForward) and each.used
        ]
        yield [(*before, each) for each in passes]
        metrics = [name for name in sorted(of_training) if name != "loss" and not name.endswith("_loss")]
        yield [(*before, *each) for each in measured_otherwise(search, here, metrics, "training")]
    else:
        names = {name.removeprefix("val_") for name in differing}
        yield [(*before, each) for each in (*_resets(names, "evaluation"), *_within("evaluation"))]
