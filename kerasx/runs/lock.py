"""A run is trained by one process at a time."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime

from filelock import FileLock, Timeout

from kerasx.errors import UsageError
from kerasx.runs.directory import CHECKPOINTS, RunDirectory

_LOCK, _HOLDER = ".lock", ".holder.json"


@contextlib.contextmanager
def locked(directory: RunDirectory) -> Iterator[None]:
    """Hold a run's lock, which the system lets go of when the process ends, however it does.

    Raises:
        UsageError: Another training holds it.
    """
    folder = directory.path / CHECKPOINTS
    lock, holder = FileLock(folder / _LOCK), folder / _HOLDER
    try:
        folder.mkdir(exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            f"{directory.name} is being trained{_described(holder)}. Wait until it has ended, or end it."
        ) from error
    except OSError as error:
        raise UsageError(f"`{directory.path}` cannot be written to: {error.strerror}.") from error
    try:
        said = {
            "process": os.getpid(),
            "host": platform.node(),
            "since": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        # Not one that has to be whole: it is only told.
        holder.write_text(json.dumps(said), encoding="utf-8")
        yield
    finally:
        with contextlib.suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def _described(holder: os.PathLike[str]) -> str:
    try:
        with open(holder, encoding="utf-8") as file:
            said = json.load(file)
        return f" by process {said['process']} on {said['host']} since {said['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return " elsewhere"
