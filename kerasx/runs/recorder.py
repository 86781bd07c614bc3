"""Writes a run's metrics as training goes."""

from __future__ import annotations

import csv
import io
import time
from typing import Any

import keras

from kerasx.files import append_line, to_json, write_text
from kerasx.runs.directory import HISTORY, METRICS, RunDirectory


class EpochRecorder(keras.callbacks.Callback):
    """Adds each epoch to `metrics.jsonl` and `history.csv`.

    It has no batch methods, so that Keras need not turn every step's logs into numbers for it.
    """

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self._run = run
        self._rows: list[dict[str, Any]] = []
        self._started = time.monotonic()

    def get_state(self) -> list[dict[str, Any]]:
        """The rows so far."""
        return self._rows

    def set_state(self, rows: list[dict[str, Any]]) -> None:
        """Go on after these rows, and leave no others in the files."""
        self._rows = rows
        write_text(self._run.path / METRICS, "".join(f"{to_json(row)}\n" for row in rows))
        if rows:
            write_text(self._run.path / HISTORY, _csv(rows))
        else:
            (self._run.path / HISTORY).unlink(missing_ok=True)

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


class StepCounter(keras.callbacks.Callback):
    """Counts the training steps of a run.

    Batch events are counted; the optimizer's updates only for loops that have no batch events, as a step
    may leave the optimizer alone, or fail after it.
    """

    async_safe = True

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self._optimizer = model.optimizer
        self._before = self._updates()
        self._batches = 0
        self._of_epoch = 0
        self._has_batches = False

    @property
    def taken(self) -> int:
        """Steps so far."""
        if self._has_batches:
            return self._batches + self._of_epoch
        return self._updates() - self._before

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Close the count of the epoch before."""
        self._batches += self._of_epoch
        self._of_epoch = 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Know that batches are told of."""
        self._has_batches = True

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count up to this batch; with steps_per_execution Keras's numbers go beyond the last one."""
        self._of_epoch = min(batch + 1, self.params.get("steps") or batch + 1)

    def on_steps(self, steps: int) -> None:
        """Count within a call that takes many steps."""
        self._of_epoch = steps

    def _updates(self) -> int:
        if self._optimizer is None:
            return 0
        return int(keras.ops.convert_to_numpy(self._optimizer.iterations))


def _csv(rows: list[dict[str, Any]], header: list[str] | None = None) -> str:
    names = header or list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
