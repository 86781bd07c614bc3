"""Tells the user what a run does."""

from __future__ import annotations

import contextlib
from typing import Any

from kerasx.cli.output import console


class ConsoleReporter:
    """Notes and progress on standard error.

    Args:
        quiet: Show neither.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = console(err=True)
        self._live = contextlib.ExitStack()

    def __enter__(self) -> ConsoleReporter:
        return self

    def __exit__(self, *ended: object) -> None:
        self._live.close()  # a live display is taken away however training ended

    def note(self, text: str) -> None:
        """Show what was chosen, and why."""
        if not self._quiet:
            self._console.print(text, style="dim")

    def callbacks(self, steps: int | None) -> list[Any]:
        """The display that fits where the output goes."""
        if self._quiet:
            return []
        # Only now: a module of callbacks imports Keras, which the engine has started by then.
        from kerasx.cli.progress import LiveProgress, PlainProgress

        if self._console.is_terminal:
            progress = LiveProgress(self._console, steps)
            self._live.callback(progress.stop)
            return [progress]
        return [PlainProgress(self._console)]
