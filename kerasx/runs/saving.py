"""Keeps the trained model in the run directory, whole where Keras can."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from kerasx.files import NO_ROOM, replace_file
from kerasx.runs.directory import MODEL, WEIGHTS


def save_model(model: Any, folder: Path) -> str | None:
    """Save the model as `model.keras`, or its weights where it cannot be saved whole.

    Returns:
        What has to be said about it; None when it was saved whole.

    Raises:
        OSError: It cannot be written.
    """
    try:
        replace_file(folder / MODEL, model.save)
    except Exception as error:  # whatever a user's `get_config` raises
        if (no_room := _no_room(error)) is not None:
            raise OSError(no_room.errno, no_room.strerror, str(folder / MODEL)) from error
        weights = _InMemory()
        model.save_weights(weights)
        replace_file(folder / WEIGHTS, lambda temporary: temporary.write_bytes(weights.getbuffer()))
        return (
            f"the model cannot be saved whole ({type(error).__name__}), so its weights are kept in {WEIGHTS}"
            " and it is rebuilt from its reference"
        )
    return None


def _no_room(error: BaseException | None) -> OSError | None:
    """The error of a disk without room that an error is, or that it came of."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return error
        error = error.__cause__ or error.__context__
    return None


class _InMemory(io.BytesIO):
    """A file of weights, which HDF5 writes where no disk is full: on one that is it ends the process."""

    def __str__(self) -> str:
        return WEIGHTS  # Keras looks at its ending
