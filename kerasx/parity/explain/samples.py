"""The losses of a side's steps, with what the reference's are made of there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from kerasx.parity.explain.outcome import Deviations
from kerasx.parity.explain.search import Search
from kerasx.parity.records import Record, StepTrace
from kerasx.parity.reference.deviation import At, Deviation
from kerasx.parity.reference.objective import Term
from kerasx.parity.reference.of_loss import OfTerms
from kerasx.parity.reference.step import TERMS, composed
from kerasx.parity.values import compared

_DISTURBANCES = 4


@dataclass(frozen=True)
class Sample:
    """The loss of one step, and what the reference's is made of there."""

    terms: list[Term]
    extras: float
    parts: tuple[float, ...]
    at: At
    loss: float
    noise: float
    # By identity, as hundreds of pairs of deviations have most of their terms in common.
    _values: dict[int, tuple[Term, float]] = field(default_factory=dict, repr=False, compare=False)
    _changed: dict[tuple[int, int], tuple[Deviation, Term, Term]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def rows(self) -> int:
        """Of the batch."""
        return self.at.rows

    def unweighted(self, term: Term) -> float:
        """The value of one of its terms, or of a changed one, before the output's factor."""
        key = id(term)
        if key not in self._values:
            self._values[key] = term, float(term.unweighted())
        return self._values[key][1]

    def changed(self, term: Term, deviation: OfTerms) -> Term:
        """A term with a deviation that is of terms."""
        key = id(deviation), id(term)
        if key not in self._changed:
            self._changed[key] = deviation, term, deviation.terms([term], self.at)[0]
        return self._changed[key][2]


def samples_of(
    search: Search, before: Deviations, kind: str, loss_of: Callable[[StepTrace], float | None]
) -> list[Sample]:
    """The losses of the side's steps of one kind; none where the parts of the loss are not known.

    Args:
        search: With the reference and the side.
        before: What is in the reference already.
        kind: `training` or `evaluation`.
        loss_of: Reads the loss off a step of the side.
    """
    whole = search.outcome(before, whole=True)
    samples = []
    for place, step in enumerate(search.target.records):
        kept = whole.memory.get((TERMS, place))
        if step.kind != kind or kept is None or kept[0] is None:
            continue
        loss = loss_of(step)
        if loss is None:
            continue
        terms, extras, at, own, parts = kept
        if not math.isclose(float(composed(terms, extras, 1.0)), float(own), rel_tol=1e-3, abs_tol=1e-7):
            return []  # a loss of the user's own making, whose parts are not known
        times = 1.0
        for each in before:
            if each.applies(at):
                terms = each.terms(terms, at)
                times = each.extras(times, at)
        noise = search.target.noise.get((kind, "loss"), 0.0)
        samples.append(Sample(terms, float(extras) * times, parts, at, loss, noise))
    return samples


def applied(sample: Sample, structure: Sequence[OfTerms]) -> float | None:
    """The data's part of the loss with some deviations; None where they do not fit."""
    terms = sample.terms
    try:
        for each in structure:
            terms = [sample.changed(term, each) for term in terms]
        return float(sum(np.float32(sample.unweighted(term)) * np.float32(term.weight) for term in terms))
    except Exception:  # whatever Keras raises on labels and outputs that a loss is not for
        return None


def with_noise(sample: Sample, structure: Sequence[OfTerms]) -> Sample:
    """A sample with the noise of what deviations compute in a narrower dtype."""
    disturbed = [[each.disturbed(seed) for each in structure] for seed in range(1, _DISTURBANCES + 1)]
    if disturbed[0] == list(structure):
        return sample
    own = applied(sample, structure)
    values = [applied(sample, each) for each in disturbed]
    moved = [abs(each - own) for each in values if each is not None and own is not None]
    return replace(sample, noise=max([sample.noise, *filter(math.isfinite, moved)]))


def is_same(predicted: float, sample: Sample) -> bool:
    """Whether a loss that was computed is that of the step, within noise."""
    ours, theirs = (Record("loss", np.array([each], np.float32)) for each in (predicted, sample.loss))
    # Sums of parts round more than one formula does.
    found = compared(ours, theirs, max(sample.noise, 1e-6 * abs(sample.loss) / 32))
    return found is None or not found[4]
