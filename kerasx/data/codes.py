"""Arrays of at most 256 evenly spaced values, such as scaled images, in a quarter of their memory."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# Below this many bytes there is nothing to gain.
WORTHWHILE = 16 * 2**20
_LEVELS = 256
_SAMPLE = 2**20
_AT_ONCE = 2**18
_ALIGNMENT = 64


@dataclass(frozen=True)
class Codes:
    """An array as bytes, and what they stand for: `values[codes]` has the bits of the array.

    A table keeps the bits where arithmetic need not: TensorFlow's division of bytes by 255 in a graph
    differs from NumPy's for 126 of 256 values. A product in float64 that is rounded afterwards may keep them
    as well, and is faster than looking up each number.

    Attributes:
        codes: Of the array's shape, aligned to 64 bytes.
        values: 256 values of its dtype.
        scale: A factor by which float64 codes, rounded to the dtype, are those values too; None if there is
            none.
    """

    codes: npt.NDArray[np.uint8]
    values: npt.NDArray[Any]
    scale: float | None


# Codes that were made beforehand, by the identity of an array that nobody changes until they are asked for.
_ready: dict[int, Codes | None] = {}


def make_ready(array: npt.NDArray[Any]) -> None:
    """Make the codes of an array that nobody changes until `as_codes` is asked for them, which is once.

    Args:
        array: It owns its memory.
    """
    if array.flags.owndata:
        codes = as_codes(array)
        _ready[id(array)] = codes
        weakref.finalize(array, _ready.pop, id(array), None)


def forget_ready() -> None:
    """Let go of what was made ready and not asked for."""
    _ready.clear()


def as_codes(array: npt.NDArray[Any]) -> Codes | None:
    """The array as codes.

    Args:
        array: Floating-point numbers of any shape.

    Returns:
        None where the array is small, no floating point, or has other values.
    """
    if id(array) in _ready:
        return _ready.pop(id(array))
    if array.dtype.kind != "f" or array.nbytes < WORTHWHILE or not array.flags.c_contiguous:
        return None
    with np.errstate(all="ignore"):  # numbers that go beyond a dtype are found out by their bits
        return _coded(array)


def _coded(array: npt.NDArray[Any]) -> Codes | None:
    flat = array.reshape(-1)
    low, high = float(flat.min()), float(flat.max())
    # What a part of the rows shows tells the distance of values, and soon whether there are too many.
    seen = np.unique(flat[:_SAMPLE])
    if not np.isfinite([low, high]).all() or not 1 < len(seen) <= _LEVELS:
        return None
    distance = float(np.diff(seen.astype(np.float64)).min())
    if (high - low) / distance > _LEVELS - 0.5:
        return None
    first, factor = array.dtype.type(low), array.dtype.type(1 / distance)

    def code(part: npt.NDArray[Any]) -> Any:
        return np.rint((part - first) * factor).astype(np.uint8)

    codes, values = _aligned(len(flat)), np.zeros(_LEVELS, array.dtype)
    is_used = np.zeros(_LEVELS, bool)
    values[code(seen)], is_used[code(seen)] = seen, True
    # As bits: -0.0 is 0.0, and still another number.
    bits = flat.view(f"u{array.dtype.itemsize}")
    value_bits = values.view(bits.dtype)
    parts = [slice(start, start + _AT_ONCE) for start in range(0, len(flat), _AT_ONCE)]
    is_certain = True
    for part in parts:
        codes[part] = code(flat[part])
        new = value_bits[codes[part]] != bits[part]
        if new.any():
            values[codes[part][new]], is_used[codes[part][new]] = flat[part][new], True
            is_certain = False  # two values may have come to share a code
    if not is_certain and not all(np.array_equal(value_bits[codes[part]], bits[part]) for part in parts):
        return None
    return Codes(codes.reshape(array.shape), values, _scale(values, is_used, distance))


def _aligned(size: int) -> npt.NDArray[np.uint8]:
    """Bytes at an address that TensorFlow can use as they are."""
    room = np.empty(size + _ALIGNMENT, np.uint8)
    start = -room.ctypes.data % _ALIGNMENT
    return room[start : start + size]


def _scale(values: npt.NDArray[Any], is_used: npt.NDArray[np.bool_], distance: float) -> float | None:
    """The factor that makes codes of float64 the values that are used, to the bit."""
    bits = f"u{values.dtype.itemsize}"
    for scale in (1 / np.rint(1 / distance), distance):
        products = (np.arange(_LEVELS, dtype=np.float64) * scale).astype(values.dtype)
        if np.array_equal(products.view(bits)[is_used], values.view(bits)[is_used]):
            return float(scale)
    return None
