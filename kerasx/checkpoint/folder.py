"""The newest few checkpoints of a run, and the newest that is whole."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kerasx.checkpoint.file import DamagedError, read_checkpoint, write_checkpoint
from kerasx.checkpoint.packing import Arrays
from kerasx.errors import UsageError

KEPT = 3


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training between two steps.

    Attributes:
        path: Its file.
        arrays: By name.
        state: Everything else.
    """

    path: Path
    arrays: Arrays = field(repr=False)
    state: dict[str, Any] = field(repr=False)

    @property
    def where(self) -> str:
        """The place in the training, in words."""
        return place(int(self.state["epoch"]), int(self.state["step"]))


def place(epoch: int, step: int) -> str:
    """A place in a training, in words."""
    return f"epoch {epoch + 1}, step {step}" if step else f"the beginning of epoch {epoch + 1}"


def file_name(epoch: int, step: int) -> str:
    """Names whose order is that of training."""
    return f"{epoch:06}-{step:09}.safetensors"


def keep(folder: Path, epoch: int, step: int, arrays: Arrays, state: dict[str, Any]) -> None:
    """Write a checkpoint, and remove all but the newest few.

    Raises:
        OSError: It cannot be written; those there are stay.
    """
    folder.mkdir(exist_ok=True)
    write_checkpoint(folder / file_name(epoch, step), arrays, state)
    for path in _files(folder)[:-KEPT]:
        with contextlib.suppress(OSError):
            path.unlink()


def newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is whole, and what is to be said of those that are not.

    Raises:
        UsageError: There are some, and none is whole; or one is of another format.
    """
    said: list[str] = []
    for path in reversed(_files(folder)):
        try:
            return Checkpoint(path, *read_checkpoint(path)), said
        except DamagedError as error:
            said.append(f"the checkpoint {path.name} is damaged ({error}): the one before it is taken")
        except OSError as error:
            why = error.strerror or error
            said.append(f"the checkpoint {path.name} cannot be read ({why}): the one before it is taken")
    if said:
        raise UsageError(
            f"All checkpoints in `{folder}` are damaged: take them away, and the run begins anew."
        )
    return None, said


def forget(folder: Path, after: Checkpoint | None) -> None:
    """Set aside what is newer than a checkpoint, and remove what a kill has left half written."""
    for path in _files(folder):
        if after is None or path.name > after.path.name:
            path.rename(path.with_suffix(".damaged"))
    for path in folder.glob(".tmp-*"):
        path.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))
