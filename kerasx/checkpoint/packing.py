"""Plain values with arrays among them as JSON beside arrays, and back to the bit; nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray[Any, Any]]

_ARRAY, _SCALAR, _TUPLE, _PAIRS = "__array__", "__scalar__", "__tuple__", "__pairs__"


class NotPlainError(TypeError):
    """A value that is neither plain nor an array."""


def packed(value: Any, name: str, arrays: Arrays) -> Any:
    """What JSON can hold of a value.

    Args:
        value: None, a number, text, an array, or lists, tuples and dictionaries of them.
        name: What its arrays are called.
        arrays: Takes the arrays.

    Raises:
        NotPlainError: It is, or holds, something else.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.generic) and _is_plain(value.dtype):
        arrays[name] = np.asarray(value)
        return {_SCALAR: name}
    if type(value) is np.ndarray and _is_plain(value.dtype):
        # In the order and the byte order in which files have them.
        arrays[name] = np.array(value, value.dtype.newbyteorder("="), order="C")
        return {_ARRAY: name}
    if type(value) is list:
        return [packed(each, f"{name}.{place}", arrays) for place, each in enumerate(value)]
    if type(value) is tuple:
        return {_TUPLE: [packed(each, f"{name}.{place}", arrays) for place, each in enumerate(value)]}
    if type(value) is dict:
        pairs = [
            [packed(key, f"{name}.{place}k", arrays), packed(each, f"{name}.{place}", arrays)]
            for place, (key, each) in enumerate(value.items())
        ]
        return {_PAIRS: pairs}
    raise NotPlainError(type(value).__name__)


def _is_plain(dtype: np.dtype[Any]) -> bool:
    return not dtype.hasobject and dtype.names is None and dtype.kind not in "mM"


def unpacked(value: Any, arrays: Arrays) -> Any:
    """The value that was packed."""
    if isinstance(value, list):
        return [unpacked(each, arrays) for each in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        return np.array(arrays[value[_ARRAY]])
    if _SCALAR in value:
        return arrays[value[_SCALAR]][()]
    if _TUPLE in value:
        return tuple(unpacked(each, arrays) for each in value[_TUPLE])
    return {unpacked(key, arrays): unpacked(each, arrays) for key, each in value[_PAIRS]}
