"""What callbacks remember: by methods of their own, or all of their attributes that are plain values."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import keras

from kerasx.checkpoint.given_back import GivingBack
from kerasx.checkpoint.held import Holding
from kerasx.checkpoint.packing import Arrays, NotPlainError, packed, unpacked
from kerasx.errors import UsageError
from kerasx.files import write_text


def callback_state(callback: keras.callbacks.Callback, name: str, holding: Holding) -> dict[str, Any]:
    """What a callback remembers.

    A callback may have methods `get_state()`, which returns plain values and arrays, and `set_state(state)`.

    Args:
        callback: Any.
        name: What its arrays are called.
        holding: Packs what it holds.
    """
    if hasattr(callback, "get_state") and hasattr(callback, "set_state"):
        try:
            return {"own": packed(callback.get_state(), name, holding.arrays)}
        except (NotPlainError, RecursionError) as error:
            raise UsageError(
                f"`get_state` of the callback {type(callback).__name__} has to return numbers, text, arrays,"
                f" or lists, tuples and dictionaries of them, and not {error}."
            ) from error
    return {"attributes": holding.attributes(holding.of_callback(callback), name)}


def not_remembered(callback: keras.callbacks.Callback) -> list[str]:
    """What a callback holds that may change as training goes on, and cannot be kept."""
    return lost_of(callback, _held_by(callback).lost)


def only_filled(callback: keras.callbacks.Callback) -> list[str]:
    """What a callback holds that is given back to what it has made by itself, as it has here."""
    return _held_by(callback).only_filled


def _held_by(callback: keras.callbacks.Callback) -> Holding:
    holding = Holding({})
    if not hasattr(callback, "get_state"):
        callback_state(callback, "callback", holding)
    return holding


def lost_of(callback: keras.callbacks.Callback, names: Iterable[str]) -> list[str]:
    """What to say of what was not kept: of Keras's own callbacks only what the user's functions hold."""
    is_kerass = type(callback).__module__.startswith("keras.")
    return [each for each in dict.fromkeys(names) if "." in each or not is_kerass]


def set_callback_state(
    callback: keras.callbacks.Callback, state: dict[str, Any], giving: GivingBack, arrays: Arrays
) -> None:
    """Give a callback back what it remembered, in place where it holds something that can be filled."""
    if "own" in state:
        callback.set_state(unpacked(state["own"], arrays))
    else:
        giving.attributes(callback, state["attributes"])


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
