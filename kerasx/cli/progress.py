"""Shows training: a live display on a terminal, one plain line an epoch elsewhere."""

from __future__ import annotations

import time
from typing import Any

import keras

from kerasx.plain import named_values
from kerasx.runs.log import epoch_line


class PlainProgress(keras.callbacks.Callback):
    """One line an epoch."""

    def __init__(self, out: Any) -> None:
        super().__init__()
        self._out = out
        self._started = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the epoch's clock."""
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Print the epoch's line."""
        seconds = time.monotonic() - self._started
        self._out.print(epoch_line(epoch, self.params["epochs"], logs or {}, seconds))


class LiveProgress(PlainProgress):
    """A bar over all steps, above it a line for each epoch that is over."""

    async_safe = True  # Keras may call it from a thread, and need not wait for each step's logs

    def __init__(self, out: Any, steps: int | None) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        super().__init__(out)
        self._steps = steps
        self._shown = self._moved = 0.0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[logs]}"),
            console=out,
            transient=True,
        )
        # One task for all epochs, so that the time left is that of the training.
        self._task = self._progress.add_task("", total=None, logs="")

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the display."""
        total = None if self._steps is None else self._steps * self.params["epochs"]
        self._progress.update(self._task, total=total)
        self._progress.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Name the epoch."""
        super().on_epoch_begin(epoch, logs)
        self._base = epoch * (self._steps or 0)
        self._progress.update(self._task, description=f"epoch {epoch + 1}/{self.params['epochs']}")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Move the bar, at most ten times a second."""
        now = time.monotonic()
        if now - self._shown < 0.1:
            return
        self._shown = now
        shown = "  ".join(named_values(logs or {}))
        self._progress.update(self._task, completed=self._base + batch + 1, logs=shown)

    def on_steps(self, steps: int) -> None:
        """Move it within a call that takes many steps."""
        now = time.monotonic()
        if now - self._moved >= 0.1:
            self._moved = now
            self._progress.update(self._task, completed=self._base + steps)

    def stop(self) -> None:
        """Take the display away."""
        self._progress.stop()
