"""By what a loss that is made of the same parts may be larger or smaller."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from kerasx.parity.explain.numbers import as_written
from kerasx.parity.explain.samples import Sample, is_same
from kerasx.parity.reference.deviation import Deviation, Scope
from kerasx.parity.reference.objective import Term
from kerasx.parity.reference.of_loss import BatchDivisor, Extras, OutputWeight, Reduction

# Losses of layers that may each be in the loss another number of times.
_MOST_PARTS = 5


def scales(
    samples: list[Sample], changed: list[float], scope: Scope
) -> Iterator[tuple[int, tuple[Deviation, ...]]]:
    """Scales with which the losses come out, with how many there are."""
    losses = np.array([each.loss for each in samples])
    data = np.array(changed)
    extras = np.array([each.extras for each in samples])
    rows = np.array([float(each.rows) for each in samples])
    has_extras = bool(np.abs(extras).max() > 0)

    def same(predicted: Any) -> bool:
        return all(is_same(value, sample) for value, sample in zip(predicted, samples, strict=True))

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
                yield 1, (Extras(scope=scope, times=as_written(factor)),)
        solved = _solve(np.stack([data, extras], axis=1), losses)
        if solved is not None and same(np.stack([data, extras], axis=1) @ solved):
            factor, times = (as_written(float(each)) for each in solved)
            yield from _scaled(
                samples, factor, False, scope, (Extras(scope=scope, times=times),), 1, whole=False
            )
    if has_extras and 1 < len(samples[0].parts) <= _MOST_PARTS:
        parts = np.array([sample.parts for sample in samples])
        for each in itertools.product((0.0, 1.0, 2.0), repeat=parts.shape[1]):
            if len(set(each)) > 1 and same(data + parts @ np.array(each)):
                yield 1, (Extras(scope=scope, each=each),)
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
                found.append((as_written(middle), by_rows))
    return found


def _scaled(
    samples: list[Sample],
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
    weight = samples[0].terms[0].weight
    if len(samples[0].terms) == 1 and weight != 1.0 and math.isclose(factor * weight, 1.0, rel_tol=2e-4):
        yield more + 1, (OutputWeight(scope=scope, weight=1.0), *added)
        return
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
        averages = _averages(term)
        outputs = float(shape[-1]) if len(shape) > 1 else 1.0
        steps = float(np.prod(values[1:])) if len(values) > 1 else 1.0
        inner = float(np.prod(shape[1:])) if len(shape) > 1 else 1.0
        for name, size in (("outputs", outputs), ("steps", steps), ("elements", inner)):
            if size > 1:
                if name == "steps" or averages:
                    found.setdefault(name, size)
                found.setdefault(f"1/{name}", 1.0 / size)
        for place, size in enumerate(shape[1:-1]):
            if size and size > 1:
                found.setdefault(f"axis {place + 1}", float(size))
                found.setdefault(f"1/axis {place + 1}", 1.0 / size)
    return found


def _averages(term: Term) -> bool:
    """Whether the criterion is a mean over the last axis, which outputs that are there twice do not change.

    Of one that is a sum over classes there is no sum to take in place of a mean.
    """
    if getattr(term.y_true, "shape", None) != getattr(term.y_pred, "shape", ()):
        return False
    try:
        twice = replace(
            term,
            y_true=keras.ops.concatenate([term.y_true, term.y_true], axis=-1),
            y_pred=keras.ops.concatenate([term.y_pred, term.y_pred], axis=-1),
        )
        once, doubled = (keras.ops.convert_to_numpy(each.row_values()) for each in (term, twice))
    except Exception:  # whatever a loss raises
        return False
    return bool(np.allclose(once, doubled, rtol=1e-3, atol=1e-6))


def _is_count(value: float) -> bool:
    return value >= 1.5 and math.isclose(value, round(value), rel_tol=1e-3)


def _shares(
    samples: list[Sample], losses: Any, extras: Any, scope: Scope, same: Callable[[Any], bool]
) -> Iterator[tuple[int, tuple[Deviation, ...]]]:
    """Other factors of several outputs, as they make up the loss of each step."""
    parts = np.array([[each.unweighted(term) for term in each.terms] for each in samples])
    if len(samples) < parts.shape[1]:
        return
    solved = _solve(parts, losses - extras)
    if solved is None or not same(parts @ solved + extras):
        return
    terms = samples[0].terms
    weights = [as_written(float(each)) if abs(each) > 1e-4 else 0.0 for each in solved]
    if not same(parts @ np.array(weights) + extras):
        weights = [float(each) for each in solved]
    changed: list[Deviation] = []
    for term, weight in zip(terms, weights, strict=True):
        if math.isclose(weight, term.weight, rel_tol=1e-3):
            continue
        sizes = dimensions([term])
        over = next(
            (n for n, size in sizes.items() if n and math.isclose(weight, size * term.weight, rel_tol=1e-3)),
            None,
        )
        is_plain = any(math.isclose(weight, each, rel_tol=1e-3, abs_tol=1e-6) for each in (1.0, 0.0))
        if over is not None and not is_plain:
            changed.append(Reduction(scope=scope, output=term.name, factor=sizes[over], over=over))
        else:
            changed.append(OutputWeight(scope=scope, output=term.name, weight=as_written(weight)))
    yield len({each.cause for each in changed}), tuple(changed)


def _solve(parts: Any, losses: Any) -> Any:
    """Least squares; None where the parts cannot be told apart."""
    scale: Any = np.abs(parts).max(axis=0)
    if (scale == 0).any() or not np.isfinite(losses).all() or not np.isfinite(parts).all():
        return None
    solved, _, rank, _ = np.linalg.lstsq(parts / scale, losses, rcond=1e-6)
    return None if rank < parts.shape[1] else solved / scale
