"""What may be otherwise in a loss: parameters are estimated from the losses of several steps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kerasx.parity.explain.search import Deviations, Outcome, Search
from kerasx.parity.explain.target import number, text
from kerasx.parity.judge import compared
from kerasx.parity.records import Record, StepTrace
from kerasx.parity.reference.deviation import At, Deviation
from kerasx.parity.reference.objective import Term
from kerasx.parity.reference.of_data import Encoding
from kerasx.parity.reference.of_loss import (
    BatchDivisor,
    Broadcast,
    Extras,
    LabelsOfLoss,
    LossDtype,
    NoMask,
    NoSampleWeight,
    OtherCriterion,
    OutputWeight,
    Reduction,
    WeightNormalization,
)
from kerasx.parity.reference.step import TERMS, composed

Scope = Literal["training", "evaluation", "both"]


@dataclass(frozen=True)
class _Sample:
    """The loss of one step, and what the reference's is made of there."""

    terms: list[Term]
    extras: float
    at: At
    loss: float
    noise: float

    @property
    def rows(self) -> int:
        return self.at.rows


def losses(search: Search, here: Outcome) -> Iterator[Sequence[Deviations]]:
    """Sets of deviations with which the losses of all steps come out, those with the fewest first."""
    assert here.first is not None
    kind = here.first.kind
    before = here.deviations
    samples = _samples(search, before, kind, lambda step: number(step, "loss"))
    if not samples:
        return
    scope: Scope = "evaluation" if kind == "evaluation" else "training"
    yield from _ranked(search, before, samples, scope, kind)


def _ranked(
    search: Search, before: Deviations, samples: list[_Sample], scope: Scope, kind: str
) -> Iterator[Sequence[Deviations]]:
    found: list[tuple[int, Deviations]] = []
    dtypes = {text(step, "dtype of the loss") for step in search.target.records if step.kind == kind}
    for complexity, structure in _structures(samples[0], scope, dtypes - {None, "float32"}):
        changed = [_applied(each, structure) for each in samples]
        if any(each is None for each in changed):
            continue
        for more, fitted in _fits(samples, changed, scope):  # type: ignore[arg-type]
            found.append((complexity + more, (*structure, *fitted)))
        if not structure and found:
            break
    for least in sorted({complexity for complexity, _ in found}):
        yield [(*before, *each) for complexity, each in found if complexity == least]


def _samples(
    search: Search, before: Deviations, kind: str, loss_of: Callable[[StepTrace], float | None]
) -> list[_Sample]:
    whole = search.outcome(before, whole=True)
    samples = []
    for place, step in enumerate(search.target.records):
        kept = whole.memory.get((TERMS, place))
        if step.kind != kind or kept is None or kept[0] is None:
            continue
        loss = loss_of(step)
        if loss is None:
            continue
        terms, extras, at, own = kept
        if not math.isclose(float(composed(terms, extras, 1.0)), float(own), rel_tol=1e-3, abs_tol=1e-7):
            return []  # a loss of the user's own making, whose parts are not known
        times = 1.0
        for each in before:
            if each.applies(at):
                terms = each.terms(terms, at)
                times = each.extras(times, at)
        noise = search.target.noise.get((kind, "loss"), 0.0)
        samples.append(_Sample(terms, float(extras) * times, at, loss, noise))
    return samples


def _applied(sample: _Sample, structure: Deviations) -> float | None:
    """The data's part of the loss with some deviations; None where they do not fit."""
    terms = sample.terms
    try:
        for each in structure:
            terms = each.terms(terms, sample.at)
        return float(sum(term.value() for term in terms))
    except Exception:  # whatever Keras raises on labels and outputs that a loss is not for
        return None


# --- What a loss is computed from -------------------------------------------------------------------------


def _structures(sample: _Sample, scope: Scope, dtypes: set[Any]) -> list[tuple[int, Deviations]]:
    """Changes of what the loss is computed from, with how many there are: first none, then one, then two."""
    singles: list[Deviation] = []
    several = len(sample.terms) > 1
    for term in sample.terms:
        output = term.name if several else None
        if term.sample_weight is not None:
            singles.append(NoSampleWeight(scope=scope, output=output))
            singles.append(WeightNormalization(scope=scope, output=output, by="weights"))
        if term.mask is not None:
            singles.append(NoMask(scope=scope, output=output))
            singles.append(NoMask(scope=scope, output=output, counted="divisor"))
        if getattr(term.y_pred, "shape", (0,))[-1:] == (1,) and len(term.y_pred.shape) == 2:
            singles += [Broadcast(scope=scope, output=output, flat=flat) for flat in ("labels", "outputs")]
        encodings: tuple[Encoding, ...] = ("class-numbers", "column", "one-hot", "flat")
        singles += [LabelsOfLoss(scope=scope, output=output, encoding=each) for each in encodings]
        singles += _criteria(sample, term, scope, output)
    if several and any(term.sample_weight is not None for term in sample.terms):
        singles.append(NoSampleWeight(scope=scope))
    singles += [
        LossDtype(scope=scope, dtype=str(dtype), summed=summed)
        for dtype, summed in itertools.product(sorted(dtypes), (False, True))
    ]
    pairs = [
        pair
        for pair in itertools.combinations(singles, 2)
        if type(pair[0]) is not type(pair[1])
        and not all(isinstance(e, OtherCriterion | Broadcast) for e in pair)
    ]
    return [(0, ()), *((1, (each,)) for each in singles), *((2, pair) for pair in pairs)]


def _criteria(sample: _Sample, term: Term, scope: Scope, output: str | None) -> list[Deviation]:
    """Other losses of Keras for the labels and outputs of a term, their parameters estimated."""
    shape = getattr(term.y_pred, "shape", ())
    if not shape:
        return []
    classes = shape[-1]
    labels = len(getattr(term.y_true, "shape", ())) == len(shape) and (term.y_true.shape[-1] == classes)
    made: list[OtherCriterion] = []

    def add(loss: str, *, logits: bool = False, **values: Any) -> None:
        options = values.pop("options", {})
        made.append(
            OtherCriterion(scope=scope, output=output, name=loss, options=options, logits=logits, **values)
        )

    encoding = "as-given" if labels else "one-hot"
    own = type(term.criterion).__name__ + getattr(term.criterion, "name", "")
    is_binary = "binary" in own.lower()
    is_crossentropy = "crossentropy" in own.lower() or "entropy" in own.lower()
    if classes > 1:
        for from_logits, activation in itertools.product((True, False), ("none", "softmax", "sigmoid")):
            options = {"from_logits": from_logits}
            add("CategoricalCrossentropy", options=options, labels=encoding, activation=activation,
                logits=is_crossentropy and not is_binary and activation != "sigmoid")  # fmt: skip
            add("BinaryCrossentropy", options=options, labels=encoding, activation=activation,
                logits=is_binary)  # fmt: skip
        for name in ("CategoricalCrossentropy", "BinaryCrossentropy"):
            add(name, labels=encoding, plain=False)
        for from_logits in (True, False):
            if (smoothing := _smoothing(sample, term, encoding, from_logits)) is not None:
                add("CategoricalCrossentropy", labels=encoding,
                    options={"from_logits": from_logits, "label_smoothing": smoothing})  # fmt: skip
            for gamma, alpha in itertools.product((2.0, 1.0, 3.0, 5.0), (0.25, 0.5, 1.0)):
                add("CategoricalFocalCrossentropy", labels=encoding,
                    options={"from_logits": from_logits, "gamma": gamma, "alpha": alpha})  # fmt: skip
        for name in ("KLDivergence", "CategoricalHinge"):
            for activation in ("none", "softmax"):
                add(name, labels=encoding, activation=activation)
    else:
        for from_logits, activation in itertools.product((True, False), ("none", "sigmoid")):
            add(
                "BinaryCrossentropy",
                options={"from_logits": from_logits},
                activation=activation,
                logits=is_binary,
            )
        for from_logits in (True, False):
            if (smoothing := _binary_smoothing(sample, term, from_logits)) is not None:
                add("BinaryCrossentropy", options={"from_logits": from_logits, "label_smoothing": smoothing})
            for gamma in (2.0, 1.0, 3.0, 5.0):
                add("BinaryFocalCrossentropy", options={"from_logits": from_logits, "gamma": gamma})
        for name in ("Hinge", "SquaredHinge"):
            add(name)
    for activation in ("none", "softmax", "sigmoid") if is_crossentropy else ("none",):
        for name in (
            "MeanSquaredError", "MeanAbsoluteError", "LogCosh", "MeanSquaredLogarithmicError",
            "MeanAbsolutePercentageError", "Poisson", "CosineSimilarity",
        ):  # fmt: skip
            add(name, labels=encoding if classes > 1 else "as-given", activation=activation)
    if (delta := _huber(sample, term)) is not None:
        add("Huber", options={"delta": delta})
    return list(made)


def _value(sample: _Sample, term: Term, deviation: OtherCriterion) -> float | None:
    """The data's part of the loss with another criterion for one term."""
    return _applied(sample, (deviation,))


def _wanted(sample: _Sample) -> float:
    return sample.loss - sample.extras


def _smoothing(sample: _Sample, term: Term, encoding: str, from_logits: bool) -> float | None:
    """Crossentropy is linear in the smoothing of its labels."""

    def at(smoothing: float) -> float | None:
        return _value(sample, term, OtherCriterion(
            scope="both", output=term.name or None, name="CategoricalCrossentropy", labels=encoding,  # type: ignore[arg-type]
            options={"from_logits": from_logits, "label_smoothing": smoothing},
        ))  # fmt: skip

    return _linear(at, _wanted(sample))


def _binary_smoothing(sample: _Sample, term: Term, from_logits: bool) -> float | None:
    def at(smoothing: float) -> float | None:
        return _value(sample, term, OtherCriterion(
            scope="both", output=term.name or None, name="BinaryCrossentropy",
            options={"from_logits": from_logits, "label_smoothing": smoothing},
        ))  # fmt: skip

    return _linear(at, _wanted(sample))


def _linear(at: Callable[[float], float | None], wanted: float) -> float | None:
    """Where between 0 and 1 a linear function takes a value."""
    low, high = at(0.0), at(0.5)
    if low is None or high is None or math.isclose(low, high, rel_tol=1e-6) or not math.isfinite(high - low):
        return None
    place = 0.5 * (wanted - low) / (high - low)
    return _simple(place) if 1e-3 < place < 1.0 else None


def _huber(sample: _Sample, term: Term) -> float | None:
    """The delta at which Huber's loss has the value, which it grows towards."""

    def at(delta: float) -> float | None:
        return _value(sample, term, OtherCriterion(
            scope="both", output=term.name or None, name="Huber", options={"delta": delta}
        ))  # fmt: skip

    wanted = _wanted(sample)
    low, high = 1e-3, 1e3
    ends = at(low), at(high)
    if None in ends or not ends[0] < wanted < ends[1]:  # type: ignore[operator]
        # As large as half the squares: any delta beyond the largest error.
        return 1.0
    for _ in range(50):
        middle = math.sqrt(low * high)
        value = at(middle)
        if value is None:
            return None
        low, high = (middle, high) if value < wanted else (low, middle)
    return _simple(math.sqrt(low * high))


def _simple(value: float) -> float:
    """A number as somebody would have written it, where it is near one."""
    for digits in (1, 2, 3):
        near = float(f"{value:.{digits}g}")
        if math.isclose(near, value, rel_tol=2e-4):
            return near
    return value


# --- How it is scaled -------------------------------------------------------------------------------------


def _fits(
    samples: list[_Sample], changed: list[float], scope: Scope
) -> Iterator[tuple[int, tuple[Deviation, ...]]]:
    """Scales with which the losses come out, with how many there are."""
    losses = np.array([each.loss for each in samples])
    data = np.array(changed)
    extras = np.array([each.extras for each in samples])
    rows = np.array([float(each.rows) for each in samples])
    has_extras = bool(np.abs(extras).max() > 0)

    def same(predicted: Any) -> bool:
        return all(_same(value, sample) for value, sample in zip(predicted, samples, strict=True))

    if same(data + extras):
        yield 0, ()
        return
    options: list[float] = [1.0] + ([0.0, 2.0] if has_extras else [])
    for times in options:
        added = () if times == 1.0 else (Extras(scope=scope, times=times),)
        rest = losses - times * extras
        if added and same(data + times * extras):
            yield 1, added
            continue
        more = len(added)
        for factor, by_rows in _constant(rest, data, rows):
            predicted = data * factor * (rows if by_rows else 1.0) + times * extras
            if not same(predicted):
                continue
            yield from _scaled(samples, factor, by_rows, scope, added, more, whole=False)
        if has_extras and times == 1.0:
            for factor, by_rows in _constant(losses, data + extras, rows):
                if same((data + extras) * factor * (rows if by_rows else 1.0)):
                    yield from _scaled(samples, factor, by_rows, scope, (), 0, whole=True)
    if has_extras and len(samples) >= 3:
        times_alone = _constant(losses - data, extras, rows)
        for factor, by_rows in times_alone:
            if not by_rows and same(data + factor * extras):
                yield 1, (Extras(scope=scope, times=_simple(factor)),)
        solved = _solve(np.stack([data, extras], axis=1), losses)
        if solved is not None and same(np.stack([data, extras], axis=1) @ solved):
            factor, times = (_simple(float(each)) for each in solved)
            yield from _scaled(
                samples, factor, False, scope, (Extras(scope=scope, times=times),), 1, whole=False
            )
    if len(samples[0].terms) > 1:
        yield from _shares(samples, losses, extras, scope, same)


def _constant(losses: Any, data: Any, rows: Any) -> list[tuple[float, bool]]:
    """The constant between losses and data, or between losses and data times rows.

    Where all batches have as many rows a divisor that is not the rows cannot be told from a constant.
    """
    found = []
    for by_rows in (False, True):
        base = data * rows if by_rows else data
        large = np.abs(base) > 1e-12
        if not large.any() or not np.isfinite(losses).all():
            continue
        ratios = losses[large] / base[large]
        middle = float(np.median(ratios))
        if middle != 0 and np.all(np.abs(ratios - middle) <= 1e-4 * abs(middle)):
            is_told = not by_rows or rows.min() < rows.max() or math.isclose(middle, 1.0, rel_tol=1e-4)
            if is_told:
                found.append((_simple(middle), by_rows))
    return found


def _scaled(
    samples: list[_Sample],
    factor: float,
    by_rows: bool,
    scope: Scope,
    added: tuple[Deviation, ...],
    more: int,
    *,
    whole: bool,
) -> Iterator[tuple[int, tuple[Deviation, ...]]]:
    """What a factor is called: a reduction over parts of the shape, or a divisor that is not the rows."""
    shapes = dimensions(samples[0].terms)
    for over, size in shapes.items():
        if math.isclose(factor, size, rel_tol=2e-4):
            yield (
                more + 1,
                (
                    Reduction(scope=scope, factor=size, over=over, by_rows=by_rows, whole=whole),
                    *added,
                ),
            )
            return
    if not by_rows:
        return
    if _is_count(1.0 / factor):
        yield more + 1, (BatchDivisor(scope=scope, divisor=float(round(1.0 / factor)), whole=whole), *added)
        return
    for over, size in shapes.items():
        divisor = size / factor
        if size != 1.0 and _is_count(divisor):
            yield (
                more + 2,
                (
                    Reduction(scope=scope, factor=size, over=over, whole=whole),
                    BatchDivisor(scope=scope, divisor=float(round(divisor)), whole=whole),
                    *added,
                ),
            )


def dimensions(terms: Sequence[Term]) -> dict[str, float]:
    """Sizes that a reduction over parts of the shape makes a loss larger or smaller by, by their names."""
    found: dict[str, float] = {"": 1.0}
    for term in terms:
        shape = tuple(getattr(term.y_pred, "shape", ()))
        try:
            values = tuple(term.row_values().shape)
        except Exception:  # whatever a loss raises
            continue
        outputs = float(shape[-1]) if len(shape) > 1 else 1.0
        steps = float(np.prod(values[1:])) if len(values) > 1 else 1.0
        inner = float(np.prod(shape[1:])) if len(shape) > 1 else 1.0
        for name, size in (("outputs", outputs), ("steps", steps), ("elements", inner)):
            if size > 1:
                found.setdefault(name, size)
                found.setdefault(f"1/{name}", 1.0 / size)
        for place, size in enumerate(shape[1:-1]):
            if size and size > 1:
                found.setdefault(f"axis {place + 1}", float(size))
                found.setdefault(f"1/axis {place + 1}", 1.0 / size)
    return found


def _is_count(value: float) -> bool:
    return value >= 1.5 and math.isclose(value, round(value), rel_tol=1e-3)


def _shares(
    samples: list[_Sample], losses: Any, extras: Any, scope: Scope, same: Callable[[Any], bool]
) -> Iterator[tuple[int, tuple[Deviation, ...]]]:
    """Other factors of several outputs, as they make up the loss of each step."""
    parts = np.array([[float(term.value()) for term in each.terms] for each in samples])
    if len(samples) < parts.shape[1]:
        return
    solved = _solve(parts, losses - extras)
    if solved is None or not same(parts @ solved + extras):
        return
    terms = samples[0].terms
    factors = [_simple(float(each)) if abs(each) > 1e-4 else 0.0 for each in solved]
    if not same(parts @ np.array(factors) + extras):
        factors = [float(each) for each in solved]
    changed: list[Deviation] = []
    for term, factor in zip(terms, factors, strict=True):
        if math.isclose(factor, 1.0, rel_tol=1e-3):
            continue
        sizes = dimensions([term])
        over = next(
            (name for name, size in sizes.items() if name and math.isclose(factor, size, rel_tol=1e-3)), None
        )
        weights = [
            math.isclose(factor * term.weight, each, rel_tol=1e-3, abs_tol=1e-6) for each in (1.0, 0.0)
        ]
        if over is not None and not any(weights):
            changed.append(Reduction(scope=scope, output=term.name, factor=sizes[over], over=over))
        else:
            weight = _simple(factor * term.weight)
            changed.append(OutputWeight(scope=scope, output=term.name, weight=weight))
    yield len({each.cause for each in changed}), tuple(changed)


def _solve(parts: Any, losses: Any) -> Any:
    """Least squares; None where the parts cannot be told apart."""
    scale: Any = np.abs(parts).max(axis=0)
    if (scale == 0).any() or not np.isfinite(losses).all() or not np.isfinite(parts).all():
        return None
    solved, _, rank, _ = np.linalg.lstsq(parts / scale, losses, rcond=1e-6)
    return None if rank < parts.shape[1] else solved / scale


def _same(predicted: float, sample: _Sample) -> bool:
    ours, theirs = (Record("loss", np.array([each], np.float32)) for each in (predicted, sample.loss))
    # Sums of parts round more than one formula does.
    found = compared(ours, theirs, max(sample.noise, 1e-6 * abs(sample.loss) / 32))
    return found is None or not found[4]
