"""Keeps the state of a training: by time, after each epoch, and when training is asked to end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasx.checkpoint.folder import Checkpoint, keep, newest
from kerasx.checkpoint.packing import Arrays
from kerasx.checkpoint.state import Kept, TrainingState
from kerasx.checkpoint.variables import OwnVariables
from kerasx.errors import Interrupted, UsageError
from kerasx.signals import Stop
from kerasx.training.loop import begin_at
from kerasx.training.task import TrainingTask

CHECKPOINT_SECONDS = 60.0
# What training may wait for checkpoints after epochs and for copies before validation, as shares of its time.
_SHARE, _SHARE_OF_COPIES = 0.01, 0.005


class CheckpointKeeper:
    """Writes checkpoints into a folder while training goes on, and begins with the state of one.

    Args:
        folder: Where they are kept.
        task: What is trained.
        own: Variables beside the model's.
        remembering: Callbacks whose state is kept, beside Keras's history.
        every: Seconds after which the state is kept within an epoch.
        before: The checkpoint to begin with; None to begin anew.
        stop: Whether training was asked to end.
        note: Says what callbacks have come to hold that cannot be kept.

    Attributes:
        position: Where training is.
        is_training: Whether there will be a next step.
    """

    def __init__(
        self,
        folder: Path,
        task: TrainingTask,
        own: OwnVariables,
        *,
        remembering: Sequence[keras.callbacks.Callback],
        every: float,
        before: Checkpoint | None,
        stop: Stop,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.position = task.position
        self._folder = folder
        self._task = task
        self._own = own
        self._every = every
        self._before = before
        self._stop = stop
        self._state = TrainingState(
            task, own, remembering, folder.parent, seconds_before=self.seconds_before, note=note
        )
        self._writing: Future[None] | None = None
        self._begun = self._kept = time.monotonic()
        self._spent = 0.0
        # What training began with, until something is kept.
        self._first: Kept | None = None
        # What is kept alive for it, as it is known by its place among those of nobody.
        self._alive: list[Any] = []
        # What validation began with, while it goes on.
        self._validated: Kept | None = None
        self._copying = 0.0
        # What of the model is not finite from the start, as of a mask.
        self._meant: Arrays = {}
        self.is_training = False

    @property
    def seconds_before(self) -> float:
        """Of training, before the run was gone on with."""
        return 0.0 if self._before is None else float(self._before.state["seconds"])

    def train_begin(self, model: keras.Model, callbacks: list[keras.callbacks.Callback]) -> None:
        """Bring back what the checkpoint has."""
        self._begun = self._kept = time.monotonic()
        self._state.begin(model, callbacks)
        if self._before is not None:
            begin_at(model, self._task.start.epoch)
            self._state.restore(self._before)
            begins_with = self._before.arrays
        else:
            self._alive = self._own.of_nobody(model)
            self._first = self._state.read()
            begins_with = self._first[0]
        not_finite = {name: ~_is_finite(name, each) for name, each in begins_with.items()}
        self._meant = {name: each for name, each in not_finite.items() if each.any()}
        self.is_training = True

    def epoch_begin(self, epoch: int) -> None:
        """Once more within an epoch: metrics have been reset, and callbacks told of an epoch they know."""
        if self._before is None or epoch != self._task.start.epoch:
            return
        if self._task.start.step:
            self._state.restore(self._before)
        else:
            # Keras's history begins anew in each training.
            self._state.restore_callbacks(self._before, keras.callbacks.History)

    def step_end(self) -> None:
        """Keep the state when it is time to, or when training is to end here."""
        if not self._own.is_complete:
            self._complete()
            if self._first is not None and not self._state.fits(self._first):
                self._first = self._state.read()  # what is made by the first step is there only now
        # Where a callback has ended the training, this epoch's end is near.
        if not self.position.is_exact or self._is_at_end_of_call() or self._task.model.stop_training:
            return
        if self._stop.signal is not None:
            self._end(self._stop.signal)
        if time.monotonic() - self._kept >= self._every:
            self._keep()

    def evaluation_begin(self) -> None:
        """Hold the state if that takes little time: validation changes it, and may be asked to end."""
        position = self.position
        if position.step:
            self._complete()  # what the test step makes is no part of what training needs
        is_all_there_is_left = (
            position.is_exact
            and position.can_validate_again
            and position.step == self._task.batches.steps  # None of a pipeline of which Keras seeks the end
            and not self._task.model.stop_training
        )
        if not is_all_there_is_left:
            return
        now = time.monotonic()
        if self._copying <= _SHARE_OF_COPIES * (now - self._begun):
            self._validated = self._state.read()
            self._copying += time.monotonic() - now

    def evaluation_step_end(self) -> None:
        """Keep what validation began with, when training is to end here."""
        if self._stop.signal is not None and self._validated is not None:
            self._end(self._stop.signal, self._validated)

    def evaluation_end(self) -> None:
        """Let go of what validation began with."""
        self._validated = None

    def epoch_end(self, logs: dict[str, Any]) -> None:
        """Keep the state, unless epochs are so short that training would wait for it."""
        self._complete()
        if self._stop.signal is not None:
            self._end(self._stop.signal)
        now = time.monotonic()
        is_last = self.position.epoch >= self._task.epochs or self._task.model.stop_training
        if is_last or now - self._kept >= self._every or self._spent <= _SHARE * (now - self._begun):
            self._keep()

    def variables(self) -> Arrays:
        """Copies of all variables."""
        return self._state.variables()

    def set_variables(self, arrays: Arrays) -> None:
        """Give variables the values of copies."""
        self._state.set_variables(arrays)

    def set_last(self) -> tuple[int, int] | None:
        """Bring back the last state that was kept, callbacks aside.

        Returns:
            Its epoch and step; None where none was, or not all of it.
        """
        self.close()
        last, _ = newest(self._folder)
        kept = self._first if last is None else (last.arrays, last.state)
        if kept is None or not self._state.fits(kept):
            return None
        self._state.set_values(kept)
        return kept[1]["epoch"], kept[1]["step"]

    def train_end(self) -> None:
        """See that all is written."""
        self.is_training = False
        self.close()

    def close(self) -> None:
        """Wait for what is being written."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            try:
                writing.result()
            except OSError as error:
                raise UsageError(
                    f"The checkpoint cannot be written to `{self._folder}`: {error.strerror or error}. Those"
                    " written before are whole."
                ) from error

    def _complete(self) -> None:
        """Know the variables that there are from now on, and let go of what was garbage before."""
        self._own.complete()
        self._alive.clear()

    def _is_at_end_of_call(self) -> bool:
        """Whether a call has taken all its steps, and its end has still to be told of."""
        position, execution = self.position, self._task.execution
        if not position.begun:
            return False
        return position.step % execution.steps_per_call == 0 or position.step == self._task.batches.steps

    def _end(self, number: int, state: Kept | None = None) -> None:
        self._keep(state)
        self.close()
        raise Interrupted(number)

    def _keep(self, kept: Kept | None = None) -> None:
        started = time.monotonic()
        self.close()  # one at a time
        arrays, state = kept or self._state.read()
        self._kept = time.monotonic()
        if not all(
            (_is_finite(name, each) | self._meant.get(name, False)).all() for name, each in arrays.items()
        ):
            return  # what is kept is to be gone on with; the training is about to be ended
        position = self.position
        writer = ThreadPoolExecutor(1)
        self._writing = writer.submit(keep, self._folder, position.epoch, position.step, arrays, state)
        writer.shutdown(wait=False)  # its thread ends with what it writes
        self._first = None
        self._kept = time.monotonic()
        self._spent += self._kept - started


def _is_finite(name: str, array: np.ndarray[Any, Any]) -> Any:
    """Which values of an array are finite; of the model's alone, others may be what they like."""
    return np.isfinite(array) if name.startswith("model.") else np.True_
