"""Writes a run's metrics as training goes."""

from __future__ import annotations

import csv
import io
import math
import time
from typing import Any

import keras

from kerasx.errors import NonFiniteError
from kerasx.runs.directory import HISTORY, METRICS, RunDirectory
from kerasx.runs.files import append_line, to_json, write_text


class EpochRecorder(keras.callbacks.Callback):
    """Adds each epoch to `metrics.jsonl` and `history.csv`.

    It has no batch methods, so that Keras need not turn every step's logs into numbers for it.
    """

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self._run = run
        self._rows: list[dict[str, Any]] = []
        self._started = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the epoch's clock."""
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the epoch's row."""
        row = {"epoch": epoch, **(logs or {}), "seconds": round(time.monotonic() - self._started, 3)}
        append_line(self._run.path / METRICS, to_json(row))
        new_columns = not self._rows or set(row) - set(self._rows[0])
        self._rows.append(row)
        if new_columns:
            write_text(self._run.path / HISTORY, _csv(self._rows))
        else:
            append_line(self._run.path / HISTORY, _csv([row], header=list(self._rows[0])).splitlines()[-1])


class FiniteLoss(keras.callbacks.Callback):
    """Ends training when an epoch's loss is not a finite number."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Look at the losses of the epoch.

        Raises:
            NonFiniteError: One of them is infinite or not a number.
        """
        for name, value in (logs or {}).items():
            if name in ("loss", "val_loss") and isinstance(value, float) and not math.isfinite(value):
                raise NonFiniteError(
                    f"Training became non-finite: `{name}` is {value} after epoch {epoch + 1}."
                    " A smaller learning rate is the usual way out."
                )


def _csv(rows: list[dict[str, Any]], header: list[str] | None = None) -> str:
    names = header or list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
