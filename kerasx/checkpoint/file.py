"""A checkpoint on disk: one safetensors file, whole or not there, with a digest of all that is in it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from kerasx.checkpoint.packing import Arrays
from kerasx.errors import UsageError
from kerasx.files import replace_file

FORMAT = 1
_STATE, _DIGEST = "state", "digest"
# What safetensors has no name for is kept as bytes beside the name of its dtype.
_KNOWN = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")


class DamagedError(Exception):
    """A file that is no checkpoint, or not all of one."""


def write_checkpoint(path: Path, arrays: Arrays, state: Mapping[str, Any]) -> None:
    """Write a file, so that a kill at any moment leaves all of it or nothing.

    Args:
        path: The file.
        arrays: By name.
        state: What JSON can hold; numbers that are not finite among it.

    Raises:
        OSError: It cannot be written.
    """
    others = {name: (_dtype(array), list(array.shape)) for name, array in arrays.items() if _other(array)}
    plain = {name: _as_bytes(array) if name in others else array for name, array in arrays.items()}
    # In the order in which it was packed: what is held once more refers to what was packed before.
    text = json.dumps({"format": FORMAT, "dtypes": others, **state})
    metadata = {_STATE: text, _DIGEST: _digest(text, plain)}
    try:
        replace_file(path, lambda temporary: save_file(plain, temporary, metadata))
    except SafetensorError as error:  # what the system says is in its text alone
        raise OSError(str(error)) from error
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # that the file is there has to last, too
    finally:
        os.close(folder)


def read_checkpoint(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and the state of a file.

    Raises:
        DamagedError: It is cut short or changed.
        UsageError: It is of another format.
        OSError: It cannot be read.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            plain = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, ValueError, KeyError) as error:
        raise DamagedError(str(error)) from error
    text = metadata.get(_STATE, "")
    if metadata.get(_DIGEST) != _digest(text, plain):
        raise DamagedError("its digest is not that of what is in it")
    state: dict[str, Any] = json.loads(text)
    if state.get("format") != FORMAT:
        raise UsageError(
            f"`{path}` is a checkpoint of another kerasx: it has the format {state.get('format')}, and this"
            f" one reads {FORMAT}."
        )
    arrays = {
        name: _from_bytes(array, *state["dtypes"][name]) if name in state["dtypes"] else array
        for name, array in plain.items()
    }
    return arrays, state


def _other(array: np.ndarray[Any, Any]) -> bool:
    return array.dtype.str.lstrip("<>|=") not in _KNOWN


def _dtype(array: np.ndarray[Any, Any]) -> str:
    """Its name, and of text its length too."""
    return str(array.dtype.str if array.dtype.kind in "SU" else array.dtype.name)


def _as_bytes(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)


def _from_bytes(array: np.ndarray[Any, Any], dtype: str, shape: list[int]) -> np.ndarray[Any, Any]:
    import ml_dtypes  # TensorFlow's: bfloat16 and the like

    kind = getattr(ml_dtypes, dtype, dtype)
    return np.frombuffer(array.tobytes(), np.dtype(kind)).reshape(shape)


def _digest(text: str, arrays: Arrays) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}{array.dtype.str}{arrays[name].shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
