"""What a run directory cannot hold, as kerasx tells it: what could not be written, why, and how to go on."""

from __future__ import annotations

from pathlib import Path

from kerasx.errors import UsageError
from kerasx.files import NO_ROOM


def unwritten(error: BaseException, folder: Path, how: str | None) -> UsageError | None:
    """The error to raise in place of one of the system that a run's files met.

    Args:
        error: What was raised.
        folder: Of the run.
        how: The command that goes on with the run; None where nothing is left of it.

    Returns:
        None where the error is another one.
    """
    cause = error.__cause__ if isinstance(error, UsageError) else error
    if not isinstance(cause, OSError):
        return None
    if isinstance(error, UsageError):
        if str(folder) not in str(error):
            return None
        said = str(error)
    elif _is_within(cause.filename, folder):
        said = f"`{cause.filename}` cannot be written: {cause.strerror}."
    else:
        return None
    full = cause.errno in NO_ROOM or cause.errno is None
    advice = "Make room" if full else "Make it possible to write there"
    if how is None:
        return UsageError(f"{said} {advice}, or choose another folder with --runs.")
    return UsageError(f"{said} {advice}, then: {how}")


def _is_within(file: object, folder: Path) -> bool:
    return isinstance(file, str) and Path(file).absolute().is_relative_to(folder.absolute())
