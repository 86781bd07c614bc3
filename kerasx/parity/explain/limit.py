"""A time limit for code of users, which may never end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

from kerasx.errors import UsageError

# So long after the limit a process is ended in which nothing else helps.
_PATIENCE = 10.0


class _Process:
    """Whether the process is that of a command, and no program around, which is not to be ended."""

    is_ours = False


def own_process() -> None:
    """Let the process be ended where code that takes too long cannot be, as within a TensorFlow function."""
    _Process.is_ours = True


@contextlib.contextmanager
def limited(seconds: float, what: str) -> Iterator[None]:
    """End what takes longer, where that can be done: in the main thread, between two steps of Python.

    Elsewhere it goes on, or the process is ended where it is a command's own: see `own_process`.

    Args:
        seconds: How long.
        what: What has not happened by then, for the message.

    Raises:
        UsageError: It took longer.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    said = f"{what} within {seconds:g} seconds, and was ended. Does it wait for something, or loop forever?"

    def end(*_: object) -> None:
        raise _TooLongError

    def end_process() -> None:
        print(f"Error: {said}", file=sys.stderr, flush=True)
        os._exit(UsageError.exit_code)

    last = threading.Timer(seconds + _PATIENCE, end_process) if _Process.is_ours else None
    before = signal.signal(signal.SIGALRM, end)
    started = time.monotonic()
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    if last is not None:
        last.daemon = True
        last.start()
    try:
        yield
    except BaseException as error:
        if not _is_of(error):
            raise
        raise UsageError(said) from error
    finally:
        if last is not None:
            last.cancel()
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        if left:  # a timer of the program around
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - started), 1e-3), interval)


class _TooLongError(BaseException):
    """Not an Exception, which a user's code may catch."""


def _is_of(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, _TooLongError):
            return True
        error = error.__cause__ or error.__context__
    return False
