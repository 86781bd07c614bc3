"""The run's log: what was chosen and one line an epoch, in `train.log`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras

from kerasx.files import append_line
from kerasx.plain import named_values


class RunLog(keras.callbacks.Callback):
    """Writes notes and a line an epoch to a file, each with its UTC time."""

    def __init__(self, path: Path, epochs: int) -> None:
        super().__init__()
        self._path = path
        self._epochs = epochs
        self._started = time.monotonic()

    def note(self, text: str) -> None:
        """Add a line."""
        append_line(self._path, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the epoch's clock."""
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Add the epoch's line."""
        self.note(epoch_line(epoch, self._epochs, logs or {}, time.monotonic() - self._started))


def epoch_line(epoch: int, epochs: int, logs: dict[str, Any], seconds: float) -> str:
    """An epoch in one line: `epoch 1/10  2.1 s  loss 0.5712  val_loss 0.3321`."""
    return "  ".join([f"epoch {epoch + 1}/{epochs}", f"{seconds:.1f} s", *named_values(logs)])
