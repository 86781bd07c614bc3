"""What may be otherwise in the data, and in what training begins with."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from kerasx.parity.explain.outcome import Deviations, Outcome
from kerasx.parity.explain.samples import is_same, samples_of
from kerasx.parity.explain.search import Search
from kerasx.parity.explain.target import array, named, number, text, training
from kerasx.parity.records import StepTrace
from kerasx.parity.reference.deviation import Deviation, Scope
from kerasx.parity.reference.objective import criterion_of
from kerasx.parity.reference.of_criterion import LabelsOfLoss
from kerasx.parity.reference.of_data import (
    Encoding,
    OtherInitialWeights,
    OtherLabels,
    OtherRows,
    OtherVariables,
)
from kerasx.parity.state import named_variables

_INPUTS = "inputs of the first forward pass"


def scope_of(here: Outcome) -> Scope:
    """The kind of the step that differs."""
    return "evaluation" if here.first is not None and here.first.kind == "evaluation" else "training"


def data(search: Search, here: Outcome) -> Iterator[Sequence[Deviations]]:
    """Other rows, or other labels of the same rows."""
    before = here.deviations
    ranks: list[list[Deviation]] = []
    if not any(isinstance(each, OtherRows) for each in before) and (rows := _rows(search)) is not None:
        ranks.append([rows])
    ranks.append(_labels(here, search))
    for rank in ranks:
        yield [(*before, each) for each in rank]


def _rows(search: Search) -> OtherRows | None:
    """Which rows the side trained on, where all that it used are the experiment's."""
    finder = _Finder(search.bench.rows)
    batches: list[tuple[int, ...] | None] = []
    epochs: dict[int, int] = {}
    for _, step in training(search.target):
        epochs[step.epoch] = epochs.get(step.epoch, 0) + 1
        if text(step, "the batch") == "left out":
            batches.append(None)
            continue
        leaves = _leaves(step, _INPUTS) or _leaves(step, "batch x")
        found = finder.rows(leaves)
        if found is None:
            return None
        batches.append(found)
    plan = search.bench.plan.epochs
    left = iter(batches)
    theirs = [sorted(len(next(left) or ()) for _ in range(count)) for count in epochs.values()]
    own = [
        sorted(0 if batch is None else len(keras.tree.flatten(batch[0])[0]) for batch in epoch)
        for epoch in plan
    ]
    same_sizes = own == theirs
    return OtherRows(
        batches=tuple(batches),
        sizes=not same_sizes,
        epochs=tuple(epochs.values()),
        evaluation=() if same_sizes else _held_out(search),
    )


def _held_out(search: Search) -> tuple[tuple[int, ...], ...]:
    """Which rows the side validated on in its first evaluation; none where that is not known."""
    if search.bench.held_out is None:
        return ()
    finder = _Finder(search.bench.held_out)
    steps = [step for step in search.target.records if step.kind == "evaluation" and step.epoch == 0]
    found = [finder.rows(_leaves(step, _INPUTS) or _leaves(step, "batch x")) for step in steps]
    return tuple(each for each in found if each is not None) if None not in found else ()


class _Finder:
    """Finds rows of arrays by their bytes."""

    def __init__(self, rows: tuple[Any, ...]) -> None:
        self._leaves = [np.asarray(leaf) for leaf in keras.tree.flatten(rows[0])]
        self._places: dict[bytes, list[int]] = {}
        for row in range(len(self._leaves[0])):
            key = b"".join(np.ascontiguousarray(leaf[row]).tobytes() for leaf in self._leaves)
            self._places.setdefault(key, []).append(row)

    def rows(self, leaves: Sequence[Any]) -> tuple[int, ...] | None:
        """The numbers of rows; None where one is no row of these."""
        if len(leaves) != len(self._leaves):
            return None
        leaves = [np.asarray(leaf, own.dtype) for leaf, own in zip(leaves, self._leaves, strict=True)]
        found = []
        for row in range(len(leaves[0])):
            places = self._places.get(b"".join(np.ascontiguousarray(leaf[row]).tobytes() for leaf in leaves))
            if not places:
                return None
            found.append(places[0])
        return tuple(found)


def _leaves(step: StepTrace, quantity: str) -> list[Any]:
    return [
        record.value
        for name, record in step.records.items()
        if (name == quantity or name.startswith(f"{quantity}[")) and isinstance(record.value, np.ndarray)
    ]


def _labels(here: Outcome, search: Search) -> list[Deviation]:
    """Other encodings of labels that come out as the side's."""
    theirs = search.target.records[here.progress[0]]
    batch = array(theirs, "batch y")
    given = (
        batch
        if here.first is not None and here.first.quantity == "batch y"
        else array(theirs, "y of the loss")
    )
    if given is None:
        return []
    dtype = None if given.dtype.kind == "S" else given.dtype.name
    classes = int(given.shape[-1]) if given.ndim > 1 else 0
    encodings: tuple[Encoding, ...] = ("class-numbers", "column", "one-hot", "flat")
    quantity = "batch y" if given is batch else "y of the loss"
    scopes: tuple[Scope, ...] = (scope_of(here), "both")
    if _differs_in_evaluation(search, here, quantity):
        scopes = ("both", scope_of(here))
    every = list(itertools.product(encodings, scopes))
    found: list[Deviation] = [
        OtherLabels(encoding=encoding, classes=classes, dtype=dtype, scope=scope) for encoding, scope in every
    ]
    kinds = [*([False] if given is not batch else []), *([True] if _same_on_own_labels(search, here) else [])]
    found += [
        LabelsOfLoss(encoding=encoding, scope=scope, own_loss=own_loss)
        for own_loss, (encoding, scope) in itertools.product(kinds, every)
    ]
    return found


def _differs_in_evaluation(search: Search, here: Outcome, quantity: str) -> bool:
    """Whether labels have another shape in the evaluation, too, as far as can be seen."""
    whole = search.outcome(here.deviations, whole=True)
    for ours, theirs in zip(whole.trace.steps, search.target.records, strict=False):
        if ours.kind == theirs.kind == "evaluation":
            own, other = array(ours, quantity), array(theirs, quantity)
            if own is not None and other is not None:
                return own.shape != other.shape
    return True


def _same_on_own_labels(search: Search, here: Outcome) -> bool:
    """Whether the side was compiled with a loss of its own that is Keras's on Keras's labels."""
    loss = search.target.steps.loss
    if not callable(loss):
        return False
    samples = samples_of(search, here.deviations, "training", lambda step: number(step, "loss"))
    try:
        values = [
            [float(replace(term, criterion=criterion_of(loss)).value()) for term in sample.terms]
            for sample in samples
        ]
    except Exception:  # whatever somebody's loss raises
        return False
    return bool(samples) and all(
        is_same(sum(each), replace(sample, loss=float(sum(term.value() for term in sample.terms))))
        for each, sample in zip(values, samples, strict=True)
    )


# --- Initial state ----------------------------------------------------------------------------------------


def initial_state(search: Search, here: Outcome) -> Iterator[Sequence[Deviations]]:
    """Other weights to begin with, or other variables that are trained."""
    before = here.deviations
    prefix = "initial value of "
    differing = tuple(
        each.quantity.removeprefix(prefix) for each in here.here if each.quantity.startswith(prefix)
    )
    if differing:
        yield [(*before, OtherInitialWeights(variables=differing))]
    ours, theirs = here.step, search.target.records[here.progress[0]]
    yield [(*before, each) for each in other_variables(search, ours, theirs)]


def other_variables(search: Search, ours: StepTrace, theirs: StepTrace) -> list[Deviation]:
    """Which variables the side trains, and which it leaves out."""
    own, other = (
        set(filter(None, (text(step, "trained variables") or "").split(", "))) for step in (ours, theirs)
    )
    if not other or own == other:
        return []
    left_out, added = tuple(sorted(own - other)), tuple(sorted(other - own))
    found: list[Deviation] = [OtherVariables(left_out=left_out, added=added)]
    trained = {
        step.epoch: text(step, "trained variables") == text(theirs, "trained variables")
        for _, step in training(search.target)
    }
    if not all(trained.values()):
        epochs = tuple(sorted(epoch for epoch, same in trained.items() if same))
        found.insert(0, OtherVariables(left_out=left_out, added=added, epochs=epochs))
    return found


def unmoved_variables(search: Search, ours: StepTrace, theirs: StepTrace) -> list[Deviation]:
    """Variables that the side does not train, though it is not seen what it takes gradients by."""
    own = named(ours, "change of ")
    still = {
        name
        for name, change in named(theirs, "change of ").items()
        if name in own and np.any(own[name]) and not np.any(change)
    }
    trained = {name for name, each in named_variables(search.bench.model) if each.trainable}
    left_out = tuple(sorted(still & trained))
    if not left_out:
        return []
    moved = {
        step.epoch
        for _, step in training(search.target)
        if any(np.any(change) for name, change in named(step, "change of ").items() if name in left_out)
    }
    epochs = tuple(sorted({step.epoch for _, step in training(search.target)} - moved))
    if not moved and {name for name in own if np.any(own[name])} & trained <= still:
        return []  # who trains nothing at all has not left something out
    return [OtherVariables(left_out=left_out, epochs=epochs if moved else ())]
