"""How long epochs take."""

from __future__ import annotations

import time


class EpochTimer:
    """Takes the time of each epoch.

    Attributes:
        seconds: Of the epochs that are over, validation included.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = 0.0

    def begin(self) -> None:
        """An epoch begins."""
        self._began = time.perf_counter()

    def end(self) -> None:
        """It is over."""
        self.seconds.append(time.perf_counter() - self._began)
