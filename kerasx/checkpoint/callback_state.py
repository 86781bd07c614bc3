"""What callbacks remember: by methods of their own, or all of their attributes that are plain values."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from kerasx.checkpoint.packing import Arrays, NotPlainError, packed, unpacked
from kerasx.runs.files import write_text

# What a callback is given anew in each training.
_GIVEN = ("_model", "model", "params", "validation_data")
# How Keras's CSVLogger goes on with its file, which is decided when training begins.
_OF_FILES = ("append", "append_header")
# Keras's callbacks compare by one of these, which they choose when they first need it.
_COMPARISONS = {"less": keras.ops.less, "greater": keras.ops.greater}
_COMPARISON = "__comparison__"


def callback_state(callback: keras.callbacks.Callback, name: str, arrays: Arrays) -> dict[str, Any]:
    """What a callback remembers.

    A callback may have methods `get_state()`, which returns plain values and arrays, and `set_state(state)`.

    Args:
        callback: Any.
        name: What its arrays are called.
        arrays: Takes them.
    """
    if hasattr(callback, "get_state") and hasattr(callback, "set_state"):
        return {"own": packed(callback.get_state(), name, arrays)}
    attributes = {}
    for attribute, value in vars(callback).items():
        if attribute in (*_GIVEN, *_OF_FILES):
            continue
        comparison = next((key for key, each in _COMPARISONS.items() if each is value), None)
        try:
            attributes[attribute] = (
                {_COMPARISON: comparison}
                if comparison is not None
                else packed(_as_array(value), f"{name}.{attribute}", arrays)
            )
        except NotPlainError:
            continue  # an object, which is made anew
    return {"attributes": attributes}


def set_callback_state(callback: keras.callbacks.Callback, state: dict[str, Any], arrays: Arrays) -> None:
    """Give a callback back what it remembered."""
    if "own" in state:
        callback.set_state(unpacked(state["own"], arrays))
        return
    for name, value in state["attributes"].items():
        if isinstance(value, dict) and _COMPARISON in value:
            setattr(callback, name, _COMPARISONS[value[_COMPARISON]])
        else:
            setattr(callback, name, unpacked(value, arrays))


def go_on_writing(callbacks: Sequence[keras.callbacks.Callback], epoch: int) -> None:
    """Have callbacks that write one file an epoch add to it, from an epoch on."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.CSVLogger) and Path(callback.filename).is_file():
            _keep_epochs(Path(callback.filename), callback.sep, epoch)
            callback.append = True


def _keep_epochs(path: Path, separator: str, epochs: int) -> None:
    rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines(), delimiter=separator))
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    for row in rows:
        if not (row and row[0].isdecimal() and int(row[0]) >= epochs):
            writer.writerow(row)
    write_text(path, text.getvalue())


def _as_array(value: Any) -> Any:
    """Tensors and scalars as NumPy has them."""
    return keras.ops.convert_to_numpy(value) if keras.ops.is_tensor(value) else value
