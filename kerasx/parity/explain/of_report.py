"""What may be otherwise in what is measured and reported."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kerasx.parity.explain.of_data import scope_of
from kerasx.parity.explain.of_forward import extra_passes
from kerasx.parity.explain.search import Deviations, Outcome, Search
from kerasx.parity.explain.target import number, text
from kerasx.parity.records import StepTrace
from kerasx.parity.reference.deviation import Deviation, Scope
from kerasx.parity.reference.of_data import ExtraForward
from kerasx.parity.reference.of_loss import OfTerms
from kerasx.parity.reference.of_metrics import Change, Measured, NotReset, ResetWithin, changed, metric_of
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
from kerasx.parity.reference.step import TERMS

_ACCURACIES = (
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "SparseCategoricalAccuracy",
)
_CHANGES: tuple[Change, ...] = (
    "as-given",
    "argmax",
    "argmax-column",
    "one-hot",
    "softmax",
    "sigmoid",
    "round",
    "flat",
    "column",
)


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
    whole = [*_resets(differing, scope), *_within(scope)]
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
    yield [(*before, each) for each in (*losses, *whole)]
    if outputs:
        yield [(*before, LossUnweighted(scope=scope, of=outputs), LossUnweighted(scope=scope))]
    yield [(*before, each) for each in passes]
    if metrics:
        measured = _measured(search, here, metrics, scope)
        yield [(*before, *each) for each in measured]
        if losses:
            yield [(*before, loss, *each) for loss, each in itertools.product(losses, measured)]


def _resets(differing: set[str], scope: Scope) -> list[Deviation]:
    """Metrics that begin anew in each step, or not when an epoch does."""
    alike = tuple(sorted(differing))
    found: list[Deviation] = [ResetEachStep(scope=scope), ResetEachStep(scope=scope, metrics=alike)]
    return [*found, NotReset(scope=scope), NotReset(scope=scope, metrics=alike)]


def _within(scope: Scope) -> list[Deviation]:
    """Metrics that begin anew once in an epoch, or time and again, with or without an evaluation."""
    return [
        ResetWithin(scope=scope, step=step, every=every, evaluates=evaluates)
        for evaluates, every, step in itertools.product((False, True), (False, True), range(1, 5))
        if not (every and step == 1)  # which is each step
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
        LossMoving(scope=scope, every_step=True),
        LossMoving(scope=scope, every_step=True, of_all=True),
    ]
    added = [value[1] for key, value in here.memory.items() if isinstance(key, tuple) and key[0] == TERMS]
    kinds: tuple[Reported, ...] = ("mean-output",)
    if any(float(each) for each in added):
        kinds = (*kinds, "without-extras")
    found += [
        OtherLossReported(scope=scope, what=what, weighted=weighted, tracked=tracked)
        for what, weighted, tracked in itertools.product(kinds, (True, False), (False, True))
        if not tracked or what == "mean-output"
    ]
    return found


def _measured(
    search: Search, here: Outcome, metrics: Sequence[str], scope: Scope
) -> list[tuple[Deviation, ...]]:
    """Classes and forms in which metrics may have measured; the same for all of them, or one alone."""
    found: list[tuple[Deviation, ...]] = []
    theirs = search.target.records[here.progress[0]]
    forms: list[tuple[Change, Change]] = []
    for name in metrics:
        metric = metric_of(search.bench.model, name)
        if metric is None:
            continue
        seen = text(theirs, f"metric {metric.name}")
        own = type(metric).__name__
        classes: list[str] = [""]
        if own in _ACCURACIES or "accuracy" in name.lower():
            other = seen.partition("(")[0] if seen else None
            if other in _ACCURACIES and other != own:
                classes = [other]
            else:
                classes = list(dict.fromkeys(["", *([other] if other in _ACCURACIES else []), *_ACCURACIES]))
        forms = _forms(here, seen)
        for kind, (labels, outputs) in itertools.product(classes, forms):
            if kind in ("", own) and labels == outputs == "as-given":
                continue
            found.append(
                (Measured(scope=scope, metric=name, becomes=kind, labels=labels, predictions=outputs),)
            )
        found += [(Measured(scope=scope, metric=name, weighted=weighted),) for weighted in (False, True)]
    if len(metrics) > 1:
        found += [
            tuple(
                Measured(
                    scope=scope,
                    metric=n,
                    becomes=kind if _is_open(search, n) else "",
                    labels=labels,
                    predictions=outputs,
                )
                for n in metrics
            )
            for kind in _ACCURACIES
            for labels, outputs in forms
            if any(_is_open(search, n) for n in metrics)
        ]
        found += [
            tuple(Measured(scope=scope, metric=n, labels=labels, predictions=outputs) for n in metrics)
            for labels, outputs in forms
            if (labels, outputs) != ("as-given", "as-given")
        ]
    found.sort(key=lambda each: (len(each), bool(each[0].becomes)))  # type: ignore[attr-defined]
    return found


def _is_open(search: Search, name: str) -> bool:
    """Whether a metric is one of the accuracies that Keras's string 'accuracy' becomes by shapes."""
    return type(metric_of(search.bench.model, name)).__name__ in _ACCURACIES[1:]


def _forms(here: Outcome, seen: str | None) -> list[tuple[Change, Change]]:
    """Forms of labels and outputs of the shapes that a metric was seen to be given."""
    kept = [value for key, value in here.memory.items() if isinstance(key, tuple) and key[0] == TERMS]
    shapes = re.findall(r"\[[\d, ]*\]", seen or "")
    every = list(itertools.product(_CHANGES, _CHANGES))
    if not kept or kept[-1][0] is None or len(shapes) < 2:
        return every
    found: list[tuple[Change, Change]] = []
    blind: list[tuple[Change, Change]] = []
    for term in kept[-1][0]:
        for labels, outputs in every:
            try:
                given = changed(term.y_true, labels, term.y_pred), changed(term.y_pred, outputs, term.y_pred)
            except Exception:  # what a form is not for
                continue
            if [str(list(each.shape)) for each in given] == shapes[:2]:
                pairs = ((term.y_true, labels), (term.y_pred, outputs))
                (blind if any(_is_blind(*each) for each in pairs) else found).append((labels, outputs))
    return list(dict.fromkeys(found or blind)) or every


def _is_blind(value: Any, change: Change) -> bool:
    """Whether a form says nothing of what it is made of: of one column the largest is always the first."""
    return change.startswith("argmax") and value.shape[-1] == 1


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
        moving = [(LossMoving(of_all=of_all), MetricsMoving(of_all=of_all)) for of_all in (False, True)]
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
        yield [(*before, *each) for each in _measured(search, here, metrics, "training")]
    else:
        names = {name.removeprefix("val_") for name in differing}
        yield [(*before, each) for each in (*_resets(names, "evaluation"), *_within("evaluation"))]
