"""The task: everything a strategy needs to train one experiment, built and checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

import keras

from kerasx.data.batches import Batches
from kerasx.training.binding import BoundStep, SingleStep
from kerasx.training.execution import Execution
from kerasx.training.fused import FusedStep
from kerasx.training.steps import Step

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
        initial_epoch: The epoch to start with, counted from 0.
    """

    model: keras.Model
    batches: Batches
    validation: Batches | None
    callbacks: list[keras.callbacks.Callback]
    epochs: int
    execution: Execution
    train_step: Step | None = None
    test_step: Step | None = None
    initial_epoch: int = 0
    _bound: dict[tuple[Step, int], BoundStep] = field(default_factory=dict, repr=False)

    @property
    def optimizer(self) -> Any:
        """The optimizer, of which `apply` takes the gradients."""
        return self.model.optimizer

    def execute(self, execution: Execution) -> None:
        """Change the execution, and let go of what was bound in another."""
        self.execution = execution
        self._bound.clear()

    def bind(self, step: Step, batches: Batches) -> BoundStep:
        """A step of this task's model in this task's execution; bound once to the same batches."""
        key = (step, id(batches))
        if key not in self._bound:
            kind = FusedStep if self.execution.fused else SingleStep
            self._bound[key] = kind(step, self.model, batches, self.execution)
        return self._bound[key]

    def callback_list(self, kind: type[AnyCallbacks]) -> AnyCallbacks:
        """The callbacks as Keras drives them, with a history and the order of batches kept in step.

        Args:
            kind: The class of the list.
        """
        return kind(
            [BatchPosition(self.batches), *self.callbacks],
            add_history=True,
            add_progbar=False,
            model=self.model,
            verbose=0,
            epochs=self.epochs,
            steps=self.batches.steps,
        )


class Callbacks(keras.callbacks.CallbackList):
    """Keras's list of callbacks, with the event of steps between two batch events.

    A callback of kerasx may have a method `on_steps(steps)`, which is told how many steps of the epoch are
    taken, also inside a call that takes many.
    """

    def told(self, steps: int) -> None:
        """Tell of steps taken."""
        for callback in self.callbacks:
            if (on_steps := getattr(callback, "on_steps", None)) is not None:
                on_steps(steps)


class BatchPosition(keras.callbacks.Callback):
    """Tells the batches which epoch begins, for loops such as `fit` that only iterate a data set."""

    async_safe = True

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the position before the first batch of the epoch is asked for."""
        self._batches.position = epoch
