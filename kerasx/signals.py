"""Signals that ask a command or a training to end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from kerasx.errors import Interrupted

ENDING = (signal.SIGINT, signal.SIGTERM)


def interrupt(number: int, frame: object) -> None:
    """Handle a signal by ending at once."""
    raise Interrupted(number)


class Stop:
    """Whether training was asked to end.

    Args:
        can_wait: Whether there will be a step boundary at which it can be ended.
        told: Called when it is asked to end at one.

    Attributes:
        signal: The number of the signal that asked; None where none did.
    """

    def __init__(self, can_wait: Callable[[], bool], told: Callable[[], None]) -> None:
        self.signal: int | None = None
        self._can_wait = can_wait
        self._told = told
        self._telling: threading.Thread | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Wait for the next step boundary on Ctrl-C and SIGTERM; the second one ends at once.

        Handlers of an embedding program are left alone; other threads than the main one are sent no signals.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous: dict[signal.Signals, Any] = {}
        for number in ENDING:
            handler = signal.getsignal(number)
            if handler in (signal.SIG_DFL, signal.default_int_handler, interrupt):
                previous[number] = handler
                signal.signal(number, self._asked)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            if self._telling is not None:
                self._telling.join()

    def _asked(self, number: int, frame: object) -> None:
        if self.signal is not None or not self._can_wait():
            raise Interrupted(number)
        self.signal = number
        # The signal may have come in the midst of a write, into which its handler must not write.
        self._telling = threading.Thread(target=self._told)
        self._telling.start()
