"""Compares two values of one quantity: by bits, then by how far they lie apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerasx.parity.records import Array, Record, Reduced, reduced

# A difference counts from so many times what the disturbance of a weight by one unit in its last place makes,
# as two ways of writing one formula round at more places than one.
MARGIN = 32.0
# And from so many units in the last place of the largest value, where the disturbance makes none. Of a
# change: of the largest value that changed.
UNITS = 8.0


def compared(
    left: Record, right: Record, noise: float | None
) -> tuple[Any, Any, float | None, float | None, bool, float | None] | None:
    """Compare two values.

    Returns:
        Both values, the relative difference, the relative noise, whether it is beyond noise, and the ratio;
        None where they are the same.
    """
    a, b = left.value, right.value
    if isinstance(a, str) or isinstance(b, str):
        return (
            None
            if a is b or (isinstance(a, str) and a == b)
            else (_shown(a), _shown(b), None, None, True, None)
        )
    if isinstance(a, Reduced) or isinstance(b, Reduced):
        return _reduced_compared(a, b, noise)
    if a.shape != b.shape:
        return (f"shape {list(a.shape)}", f"shape {list(b.shape)}", None, None, True, None)
    if a.dtype == b.dtype and a.tobytes() == b.tobytes():
        return None
    if a.dtype.kind in "US" or b.dtype.kind in "US":
        return None if np.array_equal(a, b) else ("text", "other text", None, None, True, None)
    distance = _distance(a, b)
    size = _largest(distance)
    if size == 0.0:
        return None  # zeros of two signs, or the same numbers in two dtypes
    scale = max(scale_of(a), scale_of(b))
    place = int(np.argmax(np.nan_to_num(distance, nan=np.inf, posinf=np.inf)))
    values = (_element(a, place), _element(b, place))
    relative = size / scale if np.isfinite(size) and scale else None
    if noise is None:
        return (*values, relative, None, True, _ratio(a, b))
    limit = MARGIN * noise + UNITS * max(_unit(a, b) * scale, left.unit, right.unit)
    beyond = not np.isfinite(size) or size > limit
    return (*values, relative, noise / scale if scale and np.isfinite(noise) else None, beyond, _ratio(a, b))


def _reduced_compared(
    a: Array | Reduced, b: Array | Reduced, noise: float | None
) -> tuple[Any, Any, float | None, float | None, bool, float | None] | None:
    """By digest, and by what is left of the values: their norm and their sketch."""
    left, right = (each if isinstance(each, Reduced) else reduced(each) for each in (a, b))
    if left.digest == right.digest and left.shape == right.shape:
        return None
    if left.shape != right.shape:
        return (f"shape {list(left.shape)}", f"shape {list(right.shape)}", None, None, True, None)
    scale = max(left.norm, right.norm)
    apart = np.subtract(left.sketch, right.sketch)
    distance = float(np.sqrt(np.mean(apart * apart)))
    relative = distance / scale if scale else 0.0
    limit = None
    if noise is not None:
        # What every element may differ by, as the norm of such differences.
        each = MARGIN * noise + UNITS * float(np.finfo(np.float32).eps) * max(left.largest, right.largest)
        limit = each * float(np.sqrt(np.prod(left.shape)))
    beyond = limit is None or distance > limit
    return (f"norm {left.norm:.8g}", f"norm {right.norm:.8g}", relative, None, beyond, None)


def _wide(array: Array) -> Array:
    return array.astype(np.float64)


def _distance(a: Array, b: Array) -> Array:
    """Absolute differences; 0 between values that are both infinite or both no numbers."""
    left, right = _wide(a), _wide(b)
    with np.errstate(invalid="ignore"):
        distance = np.abs(left - right)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    return np.where(same, 0.0, np.where(np.isnan(distance), np.inf, distance))


def farthest(a: Array, b: Array) -> float:
    """The largest absolute difference between two arrays of one shape."""
    return _largest(_distance(a, b))


def scale_of(array: Array) -> float:
    """The largest absolute value that is finite."""
    values = _wide(array)
    return _largest(values[np.isfinite(values)])


def _largest(values: Array) -> float:
    return float(np.max(np.abs(values))) if values.size else 0.0


def _unit(a: Array, b: Array) -> float:
    """One unit in the last place of 1, of the coarser dtype."""
    coarsest = 0.0
    for array in (a, b):
        try:
            name = array.dtype.name
            unit = 2.0**-7 if name == "bfloat16" else float(np.finfo(array.dtype).eps)
        except ValueError:
            unit = 0.0
        coarsest = max(coarsest, unit)
    return coarsest


def _element(array: Array, place: int) -> Any:
    return array.reshape(-1)[place].item() if array.size else None


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return f"{value.dtype}{list(value.shape)}"


def _ratio(a: Array, b: Array) -> float | None:
    """The one factor between two arrays, within a thousandth at every element of some size, or None."""
    left, right = _wide(a).reshape(-1), _wide(b).reshape(-1)
    large = np.abs(right) > 0.1 * _largest(right)
    if not large.any() or not np.isfinite(left).all() or not np.isfinite(right).all():
        return None
    factors = left[large] / right[large]
    middle = float(np.median(factors))
    if middle == 0.0 or np.max(np.abs(factors - middle)) > 1e-3 * abs(middle):
        return None
    return middle
