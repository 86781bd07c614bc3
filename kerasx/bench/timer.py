"""How long epochs take."""

from __future__ import annotations

import time


class EpochTimer:
    """Takes the time of each epoch, up to the next, so that what comes between them counts.

    Attributes:
        seconds: Of the epochs that are over, validation included.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began: float | None = None

    def begin(self) -> None:
        """An epoch begins, and the one before is over."""
        self.end()
        self._began = time.perf_counter()

    def end(self) -> None:
        """The last epoch is over."""
        if self._began is not None:
            self.seconds.append(time.perf_counter() - self._began)
        self._began = None
