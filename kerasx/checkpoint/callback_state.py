"""What callbacks remember: by methods of their own, or all of their attributes that are plain values."""

from __future__ import annotations

import csv
import io
import logging
import os
import random
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasx.checkpoint.packing import Arrays, NotPlainError, packed, unpacked
from kerasx.errors import UsageError
from kerasx.files import write_text

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
        try:
            return {"own": packed(callback.get_state(), name, arrays)}
        except (NotPlainError, RecursionError) as error:
            raise UsageError(
                f"`get_state` of the callback {type(callback).__name__} has to return numbers, text, arrays,"
                f" or lists, tuples and dictionaries of them, and not {error}."
            ) from error
    attributes = {}
    for attribute, value in _remembered(callback):
        comparison = next((key for key, each in _COMPARISONS.items() if each is value), None)
        try:
            attributes[attribute] = (
                {_COMPARISON: comparison}
                if comparison is not None
                else packed(_plain(value), f"{name}.{attribute}", arrays)
            )
        except (NotPlainError, RecursionError):
            continue  # an object, which is made anew
    return {"attributes": attributes}


def not_remembered(callback: keras.callbacks.Callback) -> list[str]:
    """The attributes of a user's callback that may change as training goes on, and cannot be kept."""
    if type(callback).__module__.startswith("keras.") or hasattr(callback, "get_state"):
        return []
    kept = callback_state(callback, "callback", {})["attributes"]
    return [
        attribute
        for attribute, value in _remembered(callback)
        if attribute not in kept
        and not (callable(value) or isinstance(value, ModuleType | Path | io.IOBase | logging.Logger))
    ]


def _remembered(callback: keras.callbacks.Callback) -> Iterator[tuple[str, Any]]:
    for attribute, value in vars(callback).items():
        is_path = isinstance(value, str) and os.sep in value  # which may be another one by now
        if attribute not in (*_GIVEN, *_OF_FILES) and not is_path:
            yield attribute, value


def set_callback_state(callback: keras.callbacks.Callback, state: dict[str, Any], arrays: Arrays) -> None:
    """Give a callback back what it remembered, in place where it holds something that can be filled."""
    if "own" in state:
        callback.set_state(unpacked(state["own"], arrays))
        return
    for name, value in state["attributes"].items():
        if isinstance(value, dict) and _COMPARISON in value:
            setattr(callback, name, _COMPARISONS[value[_COMPARISON]])
            continue
        remembered, present = unpacked(value, arrays), getattr(callback, name, None)
        if isinstance(present, keras.Variable | tf.Variable):
            present.assign(remembered)
        elif isinstance(present, np.random.Generator):
            present.bit_generator.state = remembered
        elif isinstance(present, random.Random):
            present.setstate(remembered)
        elif isinstance(present, dict | set) and remembered is not None:
            present.clear()
            present.update(remembered)
        elif isinstance(present, list | deque) and remembered is not None:
            present.clear()
            present.extend(remembered)
        else:
            setattr(callback, name, remembered)


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


def _plain(value: Any) -> Any:
    """What is remembered of a value: numbers of tensors, what containers hold, states of random streams."""
    if isinstance(value, keras.Variable | tf.Variable) or tf.is_tensor(value):
        return keras.ops.convert_to_numpy(value)
    if isinstance(value, np.random.Generator):
        return dict(value.bit_generator.state)
    if isinstance(value, random.Random):
        return value.getstate()
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | deque | set):
        return [_plain(each) for each in value]
    return value
