"""What may be otherwise in what is measured and reported."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

import numpy as np

from kerasx.parity.explain.of_forward import extra_passes, scope_of
from kerasx.parity.explain.search import Deviations, Outcome, Search
from kerasx.parity.explain.target import number, text
from kerasx.parity.records import StepTrace
from kerasx.parity.reference.deviation import Deviation, Scope
from kerasx.parity.reference.of_data import ExtraForward
from kerasx.parity.reference.of_report import (
    LastLogs,
    LossDiscarded,
    LossMoving,
    LossUnweighted,
    Measured,
    NotReset,
    OtherLossReported,
    ResetEachStep,
    ResetWithin,
    metric_of,
)

_ACCURACIES = (
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "SparseCategoricalAccuracy",
)
_CHANGES = ("as-given", "argmax", "argmax-column", "one-hot", "softmax", "sigmoid", "round", "flat", "column")


def report(search: Search, here: Outcome) -> Iterator[Sequence[Deviations]]:
    """What is reported otherwise: names first, then the loss, then metrics."""
    before, scope = here.deviations, scope_of(here)
    assert here.first is not None
    place = here.progress[0]
    theirs = search.target.records[place]
    if here.first.kind == "epoch":
        yield from _of_epoch(search, here)
        return
    yield [(*before, each) for each in _names(here, search, scope)]
    differing = {
        re.sub(r"^(returned|reported|epoch's) (val_)?", "", each.quantity)
        for each in here.here
        if each.stage == "report" and not each.quantity.endswith(" names")
    }
    whole = _whole(differing, scope)
    losses = _losses(here, search, scope) if "loss" in differing else []
    outputs = tuple(sorted(name for name in differing if name.endswith("_loss")))
    if outputs:
        losses.append(LossUnweighted(scope=scope, of=outputs))
        losses.append(LossUnweighted(scope=scope))
    passes = [each for each in extra_passes(theirs, scope) if isinstance(each, ExtraForward) and each.used]
    metrics = [name for name in sorted(differing) if name != "loss" and not name.endswith("_loss")]
    yield [(*before, each) for each in (*losses, *whole)]
    yield [(*before, each) for each in passes]
    if metrics:
        measured = _measured(search, here, metrics, scope)
        yield [(*before, *each) for each in measured]
        if losses:
            yield [(*before, loss, *each) for loss, each in itertools.product(losses, measured)]


def _whole(differing: set[str], scope: Scope) -> list[Deviation]:
    found: list[Deviation] = [ResetEachStep(scope=scope)]
    found += [NotReset(scope=scope), NotReset(scope=scope, metrics=tuple(sorted(differing)))]
    found += [ResetWithin(scope=scope, step=step) for step in range(1, 4)]
    return found


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


def _returned(step: StepTrace) -> set[str]:
    names = text(step, "returned names")
    return {name.removeprefix("val_") for name in names.split(", ")} if names else set()


def _is_raw_loss(ours: StepTrace, theirs: StepTrace, name: str, scope: Scope) -> bool:
    prefix = "val_" if scope == "evaluation" else ""
    value, loss = number(theirs, f"returned {prefix}{name}"), number(ours, "loss")
    return value is not None and loss is not None and bool(np.isclose(value, loss, rtol=1e-5))


def _losses(here: Outcome, search: Search, scope: Scope) -> list[Deviation]:
    found: list[Deviation] = [
        LossDiscarded(scope=scope),
        LossDiscarded(scope=scope, tracked=True),
        LossUnweighted(scope=scope),
        LastLogs(scope=scope, raw=("loss",), tracked=False),
    ]
    found += [
        OtherLossReported(scope=scope, what=what, weighted=weighted)
        for what, weighted in itertools.product(("mean-output", "without-extras"), (True, False))
    ]
    return found


def _measured(
    search: Search, here: Outcome, metrics: Sequence[str], scope: Scope
) -> list[tuple[Deviation, ...]]:
    """Classes and forms in which metrics may have measured; the same for all of them, or one alone."""
    found: list[tuple[Deviation, ...]] = []
    theirs = search.target.records[here.progress[0]]
    for name in metrics:
        metric = metric_of(search.bench.model, name)
        if metric is None:
            continue
        seen = text(theirs, f"metric {metric.name}")
        classes: list[str] = [""]
        if type(metric).__name__ in _ACCURACIES or "accuracy" in name.lower():
            other = seen.partition("(")[0] if seen else None
            classes = list(dict.fromkeys(["", *([other] if other in _ACCURACIES else []), *_ACCURACIES]))
        for kind, labels, outputs in itertools.product(classes, _CHANGES, _CHANGES):
            if not kind and labels == outputs == "as-given":
                continue
            if kind == type(metric).__name__ and labels == outputs == "as-given":
                continue
            found.append(
                (Measured(scope=scope, metric=name, becomes=kind, labels=labels, predictions=outputs),)
            )
        for weighted in (False, True):
            found.append((Measured(scope=scope, metric=name, weighted=weighted),))
    if len(metrics) > 1:
        for labels, outputs in itertools.product(_CHANGES, _CHANGES):
            if labels != "as-given" or outputs != "as-given":
                found.append(
                    tuple(
                        Measured(scope=scope, metric=n, labels=labels, predictions=outputs) for n in metrics
                    )
                )
    return found


def _of_epoch(search: Search, here: Outcome) -> Iterator[Sequence[Deviations]]:
    """What is seen only in what an epoch reports, as of a loop whose steps return nothing."""
    before = here.deviations
    differing = {
        re.sub(r"^epoch's ", "", each.quantity)
        for each in here.here
        if each.stage == "report" and not each.quantity.endswith(" names")
    }
    of_training = {name for name in differing if not name.startswith("val_")}
    if of_training:
        alike = tuple(sorted(of_training))
        found: list[Deviation] = [
            LossUnweighted(),
            ResetEachStep(),
            NotReset(),
            NotReset(metrics=alike),
            *(ResetWithin(step=step) for step in range(1, 4)),
            OtherLossReported(what="mean-output"),
            LossDiscarded(),
            LastLogs(raw=("loss",), tracked=False),
            LastLogs(raw=("loss",)),
            LastLogs(added=("batch",)),
        ]
        yield [(*before, each) for each in found]
        yield [
            (*before, LossMoving(names=names, training=training))
            for names, training in itertools.product(((), alike), (False, True))
        ]
        steps = [step for step in search.target.records if step.kind == "training"]
        passes = [
            each
            for each in extra_passes(steps[-1], "training")
            if isinstance(each, ExtraForward) and each.used
        ]
        yield [(*before, each) for each in passes]
        metrics = [name for name in sorted(of_training) if name != "loss" and not name.endswith("_loss")]
        yield [(*before, *each) for each in _measured(search, here, metrics, "training")]
    else:
        names = {name.removeprefix("val_") for name in differing}
        yield [(*before, each) for each in _whole(names, "evaluation")]
