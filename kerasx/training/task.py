"""The task: everything a strategy needs to train one experiment, built and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import keras
import tensorflow as tf

from kerasx.data.arrays import Arrays
from kerasx.data.batches import Batches
from kerasx.training.binding import BoundStep, SingleStep
from kerasx.training.execution import Execution
from kerasx.training.fused import FusedStep
from kerasx.training.position import Follower, Position, Start, ToldLast
from kerasx.training.steps import Logs, Loop, Step, own_train_step

AnyCallbacks = TypeVar("AnyCallbacks", bound="Callbacks")


@dataclass
class TrainingTask:
    """One experiment, ready to be trained by any strategy.

    Attributes:
        model: Built, with its initial weights, and compiled: it holds the optimizer (wrapped for loss
            scaling where the precision asks for it), the loss and the metrics, and is set to the
            execution.
        batches: What to train on, epoch by epoch.
        validation: What to validate on after each epoch; None for nothing.
        callbacks: Keras callbacks, in the order in which they are called.
        epochs: The epoch to stop before, counted from 0.
        execution: How each step is to be executed.
        train_step: The step that the user named or that the model brings; None for the strategy's own.
        test_step: The same for evaluation.
        loop: What goes over one epoch's batches in the place of steps; None where steps are taken.
        start: Where to begin.
        position: Where training is.
        followers: Told of each place between two steps, in their order.
    """

    model: keras.Model
    batches: Batches
    validation: Batches | None
    callbacks: list[keras.callbacks.Callback]
    epochs: int
    execution: Execution
    train_step: Step | None = None
    test_step: Step | None = None
    loop: Loop | None = None
    start: Start = field(default_factory=Start)
    position: Position = field(default_factory=Position, repr=False)
    followers: list[Follower] = field(default_factory=list, repr=False)
    _bound: dict[tuple[Step, int], BoundStep] = field(default_factory=dict, repr=False)

    @property
    def optimizer(self) -> Any:
        """The optimizer, of which `apply` takes the gradients."""
        return self.model.optimizer

    @property
    def initial_epoch(self) -> int:
        """The epoch to start with, counted from 0."""
        return self.start.epoch

    def execute(self, execution: Execution) -> None:
        """Change the execution, and let go of what was bound in another."""
        self.execution = execution
        self._bound.clear()

    @property
    def draws(self) -> tuple[str, ...] | None:
        """As of `BoundStep`, of the step that is trained by."""
        bound = (each for (_, batches), each in self._bound.items() if batches == id(self.batches))
        return next((each.draws for each in bound if each.draws is not None), None)

    def bind(self, step: Step, batches: Batches) -> BoundStep:
        """A step of this task's model in this task's execution; bound once to the same batches."""
        key = (step, id(batches))
        if key not in self._bound:
            kind = FusedStep if self.execution.fused else SingleStep
            self._bound[key] = kind(step, self.model, batches, self.execution)
        return self._bound[key]

    def try_step(self) -> None:
        """Take a training step eagerly, so that everything is made that steps make when they are first taken.

        What it changes is not put back.
        """
        if isinstance(self.batches.rows, Arrays):
            batches = self.batches.limited(1).epoch(self.start.epoch)
        else:
            # Not of the pipeline, which would be somewhere else afterwards.
            batch = tf.nest.map_structure(
                lambda spec: tf.zeros([size or 1 for size in spec.shape], spec.dtype), self.batches.signature
            )
            batches = tf.data.Dataset.from_tensors(batch)
        if self.loop is not None:
            self.loop(self.model, batches)
        else:
            (self.train_step or own_train_step)(self.model, next(iter(batches)))

    def callback_list(self, kind: type[AnyCallbacks]) -> AnyCallbacks:
        """The callbacks as Keras drives them, with a history and the order of batches kept in step.

        Args:
            kind: The class of the list.
        """
        callbacks = kind(
            [BatchPosition(self.batches), *self.callbacks],
            add_history=True,
            add_progbar=False,
            model=self.model,
            verbose=0,
            epochs=self.epochs,
            steps=self.batches.steps,
        )
        self.position = Position(self.start.epoch)
        if isinstance(callbacks, Callbacks):
            callbacks.start, callbacks.position = self.start, self.position
            callbacks.followers = self.followers
        if self.followers:
            for each in self.followers:
                each.position = self.position
            # After the history, which Keras adds to the others.
            last = ToldLast(self.followers, self.position, callbacks.callbacks)
            last.set_model(self.model)
            callbacks.callbacks.append(last)
        return callbacks


class Callbacks(keras.callbacks.CallbackList):
    """Keras's list of callbacks, with the event of steps between two batch events.

    A callback of kerasx may have a method `on_steps(steps)`, which is told how many steps of the epoch are
    taken, also inside a call that takes many. Of steps that were taken before training was gone on with,
    callbacks are not told again.

    Attributes:
        start: Where training begins.
        position: Where training is.
        followers: Told of each step once all callbacks have been.
    """

    start: Start = Start()
    followers: Sequence[Follower] = ()
    _left_out = False
    _is_told = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.position = Position()
        super().__init__(*args, **kwargs)

    def first_step(self, epoch: int) -> int:
        """How many steps of an epoch were taken before."""
        return self.start.step if epoch == self.start.epoch else 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Tell of an epoch."""
        super().on_epoch_begin(epoch, logs)
        self._is_told = self.start.begun and epoch == self.start.epoch
        self.position.epoch, self.position.step = epoch, self.first_step(epoch)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Tell of a call that begins with a batch."""
        self.begin_call(batch, batch, logs)

    def begin_call(self, first: int, last: float, logs: Any = None) -> None:
        """Tell of a call for some batches, unless all of them were stepped on before."""
        self._left_out = last < self.first_step(self.position.epoch)
        if self._left_out:
            return
        if not self._is_told:
            super().on_train_batch_begin(first, logs)
        self._is_told = False
        self.position.begun = True

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Tell of a call that has ended with a batch."""
        if self._left_out:
            return
        super().on_train_batch_end(batch, logs)
        self.position.begun = False
        self._taken(batch + 1, logs)

    def on_test_begin(self, logs: Any = None) -> None:
        """Tell of a validation."""
        for each in self.followers:
            each.evaluation_begin()
        super().on_test_begin(logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Tell of a call of validation that has ended with a batch."""
        super().on_test_batch_end(batch, logs)
        for each in self.followers:
            each.evaluation_step_end()

    def on_test_end(self, logs: Any = None) -> None:
        """Tell of a validation that has ended."""
        super().on_test_end(logs)
        for each in self.followers:
            each.evaluation_end()

    def told(self, steps: int) -> None:
        """Tell of steps taken."""
        for callback in self.callbacks:
            if (on_steps := getattr(callback, "on_steps", None)) is not None:
                on_steps(steps)
        if self.position.begun:
            self._taken(steps, None)

    def _taken(self, steps: int, logs: Logs | None) -> None:
        total = self.params.get("steps") if self.params else None
        # With steps_per_execution Keras's numbers go beyond the last batch.
        self.position.step = min(steps, total or steps)
        self.position.logs = logs or {}
        for each in self.followers:
            each.step_end()


class BatchPosition(keras.callbacks.Callback):
    """Tells the batches which epoch begins, for loops such as `fit` that only iterate a data set."""

    async_safe = True

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the position before the first batch of the epoch is asked for."""
        self._batches.position = epoch
