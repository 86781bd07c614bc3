"""Who is told what a run does."""

from __future__ import annotations

from typing import Any, Protocol


class Reporter(Protocol):
    """Told what a run does while it does it."""

    def note(self, text: str) -> None:
        """Take note of something that was chosen, and why."""

    def callbacks(self, steps: int | None) -> list[Any]:
        """The Keras callbacks that show progress.

        Args:
            steps: Training steps an epoch; None where a pipeline does not tell.
        """
        ...
