"""By which metrics, and of what, a side may have measured."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

from kerasx.parity.explain.outcome import Outcome
from kerasx.parity.explain.search import Search
from kerasx.parity.explain.target import text
from kerasx.parity.reference.deviation import Deviation, Scope
from kerasx.parity.reference.of_metrics import Change, Measured, changed, metric_of
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


def measured_otherwise(
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
            tuple(Measured(scope=scope, metric=name, weighted=weighted) for name in metrics)
            for weighted in (False, True)
        ]
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
    kept = here.memory.get((TERMS, here.progress[0]))
    shapes = re.findall(r"\[[\d, ]*\]", seen or "")
    every = list(itertools.product(_CHANGES, _CHANGES))
    if kept is None or kept[0] is None or len(shapes) < 2:
        return every
    found: list[tuple[Change, Change]] = []
    blind: list[tuple[Change, Change]] = []
    for term in kept[0]:
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
