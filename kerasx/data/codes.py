"""Arrays of at most 256 evenly spaced values, such as scaled images, in a quarter of their memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# Below this many bytes there is nothing to gain.
WORTHWHILE = 16 * 2**20
_LEVELS = 256
_SAMPLE = 2**20
_AT_ONCE = 2**16


def as_codes(array: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]] | None:
    """Codes and their values, so that `values[codes]` has the bits of the array.

    A table keeps the bits where arithmetic would not: TensorFlow's division of bytes by 255 in a
    graph differs from NumPy's for 126 of 256 values.

    Args:
        array: Floating-point numbers of any shape.

    Returns:
        Codes of the array's shape and 256 values of its dtype; None where the array is small, no floating
        point, or has other values.
    """
    if array.dtype.kind != "f" or array.nbytes < WORTHWHILE or not array.flags.c_contiguous:
        return None
    with np.errstate(all="ignore"):  # numbers that go beyond a dtype are found out by their bits
        return _coded(array)


def _coded(array: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]] | None:
    flat = array.reshape(-1)
    low, high = float(flat.min()), float(flat.max())
    # What a part of the rows shows tells the distance of values, and soon whether there are too many.
    seen = np.unique(flat[:_SAMPLE])
    if not np.isfinite([low, high]).all() or not 1 < len(seen) <= _LEVELS:
        return None
    distance = float(np.diff(seen.astype(np.float64)).min())
    if (high - low) / distance > _LEVELS - 0.5:
        return None
    first, scale = array.dtype.type(low), array.dtype.type(1 / distance)

    def code(part: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        return np.rint((part - first) * scale).astype(np.uint8)

    codes, values = np.empty(flat.shape, np.uint8), np.zeros(_LEVELS, array.dtype)
    values[code(seen)] = seen
    # As bits: -0.0 is 0.0, and still another number.
    bits = flat.view(f"u{array.dtype.itemsize}")
    value_bits = values.view(bits.dtype)
    is_certain = True
    for start in range(0, len(flat), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        codes[part] = code(flat[part])
        new = value_bits[codes[part]] != bits[part]
        if new.any():
            values[codes[part][new]] = flat[part][new]
            is_certain = False  # two values may have come to share a code
    for start in range(0, 0 if is_certain else len(flat), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        if not np.array_equal(value_bits[codes[part]], bits[part]):
            return None
    return codes.reshape(array.shape), values
