"""What may be otherwise in a loss: parameters are estimated from the losses of several steps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from kerasx.parity.explain.criteria import criteria
from kerasx.parity.explain.outcome import Deviations, Outcome
from kerasx.parity.explain.samples import Sample, applied, samples_of, with_noise
from kerasx.parity.explain.scales import scales
from kerasx.parity.explain.search import Search
from kerasx.parity.explain.target import number, text
from kerasx.parity.reference.deviation import Deviation, Scope
from kerasx.parity.reference.of_criterion import (
    Broadcast,
    BroadcastWeights,
    LabelsOfLoss,
    LossDtype,
    OtherCriterion,
)
from kerasx.parity.reference.of_data import Encoding
from kerasx.parity.reference.of_loss import (
    NoMask,
    NoSampleWeight,
    OfTerms,
    WeightNormalization,
)


def losses(search: Search, here: Outcome) -> Iterator[Sequence[Deviations]]:
    """Sets of deviations with which the losses of all steps come out, those with the fewest first."""
    assert here.first is not None
    kind = here.first.kind
    before = here.deviations
    samples = samples_of(search, before, kind, lambda step: number(step, "loss"))
    if not samples:
        return
    scope: Scope = "evaluation" if kind == "evaluation" else "training"
    yield from _ranked(search, before, samples, scope, kind)


def _ranked(
    search: Search, before: Deviations, samples: list[Sample], scope: Scope, kind: str
) -> Iterator[Sequence[Deviations]]:
    found: list[tuple[int, Deviations]] = []
    few = _telling(samples)
    for complexity, structure in _structures(samples[0], scope, _dtypes(search, kind)):
        if next(_scaled(few, structure, scope), None) is None:
            continue
        for more, fitted in _scaled(samples, structure, scope):
            found.append((complexity + more, (*structure, *fitted)))
        if not structure and found:
            break
    for least in sorted({complexity for complexity, _ in found}):
        yield [(*before, *each) for complexity, each in found if complexity == least]


def _telling(samples: list[Sample]) -> list[Sample]:
    """As few of the samples as no wrong structure is likely to fit, a short batch among them."""
    enough = len(samples[0].terms) + 2
    by_rows = sorted(range(len(samples)), key=lambda place: samples[place].rows)
    chosen = sorted({by_rows[0], *range(min(enough, len(samples)))})
    return [samples[place] for place in chosen]


def _scaled(
    samples: list[Sample], structure: Sequence[OfTerms], scope: Scope
) -> Iterator[tuple[int, tuple[Deviation, ...]]]:
    """Scales with which a structure gives the losses, with how many there are."""
    changed = [applied(each, structure) for each in samples]
    values = [each for each in changed if each is not None]
    if len(values) == len(samples):
        yield from scales([with_noise(each, structure) for each in samples], values, scope)


_SUMMED: tuple[Literal["none", "outputs", "all"], ...] = ("none", "outputs", "all")


def _dtypes(search: Search, kind: str) -> list[tuple[str, str]]:
    """In which a loss may be computed and handed on: as it is seen, or as the outputs are."""
    found = dict.fromkeys(
        (of, whole)
        for step in search.target.records
        if step.kind == kind and (whole := text(step, "dtype of the loss") or "float32")
        for of in (whole, text(step, "dtype of the outputs") or "float32")
    )
    return [each for each in found if each[0] != "float32" and "," not in each[0]]


def _structures(
    sample: Sample, scope: Scope, dtypes: Sequence[tuple[str, str]]
) -> list[tuple[int, tuple[OfTerms, ...]]]:
    """Changes of what the loss is computed from, with how many there are: first none, then one, then two."""
    singles: list[OfTerms] = []
    several = len(sample.terms) > 1
    for term in sample.terms:
        if not term.weight:
            continue
        output = term.name if several else None
        if term.sample_weight is not None:
            singles.append(NoSampleWeight(scope=scope, output=output))
            by: tuple[Literal["count", "weights"], ...] = ("weights", "count")
            singles += [WeightNormalization(scope=scope, output=output, by=each) for each in by]
            singles.append(BroadcastWeights(scope=scope, output=output))
        if term.mask is not None:
            singles.append(NoMask(scope=scope, output=output))
            singles.append(NoMask(scope=scope, output=output, counted="divisor"))
        shape = tuple(getattr(term.y_pred, "shape", ()))
        if len(shape) == 1 or (len(shape) == 2 and shape[-1] == 1):
            singles += [Broadcast(scope=scope, output=output, flat=flat) for flat in ("labels", "outputs")]
        encodings: tuple[Encoding, ...] = ("class-numbers", "column", "one-hot", "flat")
        if _are_classes(term.y_true):
            singles += [LabelsOfLoss(scope=scope, output=output, encoding=each) for each in encodings]
        singles += criteria(sample, term, scope, output)
    if several and any(term.sample_weight is not None for term in sample.terms):
        singles.append(NoSampleWeight(scope=scope))
    singles += [
        LossDtype(scope=scope, dtype=dtype, whole=whole, summed=summed)
        for (dtype, whole), summed in itertools.product(dtypes, _SUMMED)
    ]
    pairs = [
        pair
        for pair in itertools.combinations(singles, 2)
        if type(pair[0]) is not type(pair[1])
        and not all(isinstance(e, OtherCriterion | Broadcast) for e in pair)
    ]
    return [(0, ()), *((1, (each,)) for each in singles), *((2, pair) for pair in pairs)]


def _are_classes(labels: Any) -> bool:
    """Whether labels may be numbers of classes, or rows that are one-hot."""
    values = np.asarray(labels)
    return values.dtype.kind in "iub" or bool(np.all(np.mod(values, 1) == 0))
