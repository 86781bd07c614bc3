"""A time limit for code of users, which may never end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

from kerasx.errors import UsageError


@contextlib.contextmanager
def limited(seconds: float, what: str) -> Iterator[None]:
    """End what takes longer, where that can be done: in the main thread, between two steps of Python.

    Args:
        seconds: How long.
        what: What has not happened by then, for the message.

    Raises:
        UsageError: It took longer.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def end(*_: object) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except BaseException as error:
        if not _is_of(error):
            raise
        raise UsageError(
            f"{what} within {seconds:g} seconds, and was ended. Does it wait for something, or loop forever?"
        ) from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


class _TooLongError(BaseException):
    """Not an Exception, which a user's code may catch."""


def _is_of(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, _TooLongError):
            return True
        error = error.__cause__ or error.__context__
    return False
