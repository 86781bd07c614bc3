"""Follows a training step by step, whoever drives it: writes its trace and keeps it in lockstep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kerasx.data.arrays import Arrays, map_arrays
from kerasx.data.batches import Batches
from kerasx.parity.recorder import StepRecorder
from kerasx.parity.records import StepTrace, Trace
from kerasx.parity.state import FullState, as_array, same_values
from kerasx.parity.writing import write_batch, write_initial, write_logs

# Given the number of a step in the trace, the state it is to start from; None for its own.
StateFor = Callable[[int], FullState | None]


_LOOKS_AHEAD = "the loop asks for batches before it trains on those it has"
_TRAINS_ANOTHER = "the loop trains something else than the model, which has it only when the epoch ends"


class Watch(keras.callbacks.Callback):
    """Tells the beginnings and ends of steps: by Keras's batch events, or as a loop asks for batches.

    Args:
        trace: Where steps are written.
        recorder: Turns what was seen in a step into records.
        batches: What is trained on, and validated on if anything.
        numbers: The numbers that these batches have in the experiment's epochs, for both.
        state_for: Gives the states that steps are to start from.
        by_updates: Whether a step ends when gradients are applied, for loops that cannot be told otherwise.

    Attributes:
        states: What each step started from.
        slipped: Why steps cannot be told apart or set; None while they can.
    """

    def __init__(
        self,
        trace: Trace,
        recorder: StepRecorder,
        batches: dict[str, Batches],
        numbers: dict[str, list[int]],
        state_for: StateFor,
        *,
        by_updates: bool = False,
    ) -> None:
        super().__init__()
        self.states: list[FullState] = []
        self.slipped: str | None = None
        self._trace = trace
        self._recorder = recorder
        self._batches = batches
        self._numbers = numbers
        self._state_for = state_for
        self._epoch = 0
        self._step: StepTrace | None = None
        self._at_end: FullState | None = None
        self._was_idle = False
        # Of the epoch's steps: whether there was one without training, and one that changed the model.
        self._has_idle = False
        self._has_change = False
        # What the last step left, and, before an evaluation, what became of it.
        self._last: FullState | None = None
        self._before_evaluation: tuple[FullState, FullState] | None = None
        self._by_updates = by_updates
        self._updates = 0
        if by_updates:
            recorder.on_applied = self._updated

    # --- Steps ------------------------------------------------------------------------------------------

    def begin(self, batch: int, kind: str = "training") -> StepTrace:
        """Begin a step.

        Args:
            batch: Its number among those of the epoch.
            kind: As of `StepTrace`.

        Returns:
            Where it will be written down.
        """
        self._check_over()
        own = self._recorder.read()
        if kind == "evaluation" and self._before_evaluation is None and self._last is not None:
            self._before_evaluation = self._last, own
        numbers = self._numbers[kind]
        step = StepTrace(self._epoch, numbers[batch] if batch < len(numbers) else batch, kind)
        if not self._trace.steps:
            write_initial(step, own)
        if (rows := rows_of(self._batches[kind], self._epoch, batch)) is not None:
            write_batch(step, rows)
        given = self._state_for(len(self.states))
        if given is not None:
            self._recorder.set(given)
        self.states.append(own if given is None else given)
        self._recorder.begin(self.states[-1])
        self._step = step
        return step

    def end(self, logs: Any = None) -> None:
        """End the step and write it down."""
        step = self._step
        assert step is not None
        after = self._last = self._recorder.read()
        if step.kind == "training":
            is_changed = not same_values(self.states[-1], after)
            self._has_change |= is_changed
            # Of what was executed in a graph no more is seen than that.
            self._has_idle |= not (is_changed or self._recorder.saw_training)
        self._recorder.write(step, logs, after)
        self._trace.steps.append(step)
        self._step = None

    def is_in(self, step: StepTrace | None) -> bool:
        """Whether it is this step that was begun last, and has not ended."""
        return step is not None and self._step is step

    def check_batch(self, own: Any, before: Any) -> None:
        """See that what a loop trained on is not the batch before the one that it asked for last.

        Args:
            own: The batch that the step is of, as it was handed out.
            before: The one before it; None of the first.
        """
        inputs = self._recorder.inputs
        was_idle, self._was_idle = self._was_idle, not inputs and not self._recorder.saw_training
        if not inputs or before is None or any(_are_same(each, own[0]) for each in inputs):
            return
        # What was trained on may have been changed on the way, so that it is like neither.
        if was_idle or any(_are_same(each, before[0]) for each in inputs):
            self.slipped = _LOOKS_AHEAD

    def expects_no_training(self) -> None:
        """Take what is trained until the next step for a sign that the steps were told apart wrongly."""
        self._at_end = self._recorder.read()
        self._recorder.begin(self._at_end)

    def _updated(self) -> None:
        if self._step is None or self._step.kind != "training":
            return
        self.end()
        self._updates += 1
        self.begin(self._updates)

    def _check_over(self) -> None:
        if self._step is not None:
            # Of what follows the last update; or one that was begun for a batch that there was not, as at the
            # end of a pipeline whose length is not known.
            self._step = None
            self.states.pop()
        if self._at_end is not None:
            if self._recorder.saw_training:
                self.slipped = _LOOKS_AHEAD
            elif not same_values(self._at_end, self._recorder.read()):
                # Weights are changed once more, as by an average: unless it is by what the steps did not.
                if self._has_idle:
                    self.slipped = _LOOKS_AHEAD
                elif not self._has_change:
                    self.slipped = _TRAINS_ANOTHER
        self._at_end = None

    # --- Keras's events ---------------------------------------------------------------------------------

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note the epoch."""
        self._epoch = epoch
        self._has_idle = self._has_change = False
        self._last = self._before_evaluation = None
        if self._by_updates:
            self._updates = 0
            self.begin(0)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Begin a training step."""
        self.begin(batch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """End it."""
        self.end(logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Begin an evaluation step."""
        self.begin(batch, "evaluation")

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """End it."""
        self.end(logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write down what the epoch reports."""
        self._check_over()
        step = StepTrace(epoch, None, "epoch")
        write_logs(step, "epoch's", logs or {})
        if self._before_evaluation is not None:
            self._recorder.write_change(step, *self._before_evaluation, "after the last step")
        if self._last is not None:
            self._recorder.write_change(step, self._last, self._recorder.read(), "as the epoch ends")
        self._trace.steps.append(step)


def _are_same(inputs: Any, rows: Any) -> bool:
    """Whether a model's inputs are these rows, to the bit."""
    leaves = zip(keras.tree.flatten(inputs), keras.tree.flatten(rows), strict=False)
    return all(ours is theirs or np.array_equal(as_array(ours), as_array(theirs)) for ours, theirs in leaves)


def rows_of(batches: Batches, epoch: int, batch: int) -> Any:
    """A batch of an epoch as arrays; None of a pipeline, which may hand out others when it is asked again."""
    if not isinstance(batches.rows, Arrays):
        return None
    position = batches.position
    numbers = batches.row_numbers(epoch)[batch * batches.batch_size : (batch + 1) * batches.batch_size]
    batches.position = position
    return map_arrays(lambda leaf: leaf[numbers], batches.rows.data)
