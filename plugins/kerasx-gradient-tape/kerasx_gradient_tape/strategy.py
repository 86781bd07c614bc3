"""The loop that people write when they leave `fit`, with nothing of `fit` left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from kerasx import (
    Batches,
    Logs,
    StepOptions,
    StepStrategy,
    TrainingTask,
    bind_step,
    run_batches,
    run_epochs,
    run_evaluation,
    test_step,
    train_step,
)


class GradientTapeStrategy(StepStrategy):
    """An explicit loop: one call of the step for each batch, eagerly or as a TensorFlow function."""

    options_type = StepOptions

    def __init__(self, options: BaseModel | None = None) -> None:
        super().__init__(options)
        self._tests: dict[Any, Callable[[Any], Logs]] = {}

    def train(self, task: TrainingTask) -> dict[str, list[float]]:
        """Step through every batch of every epoch."""
        step = bind_step(task.train_step or train_step, task.model, task.execution, task.batches.signature)
        return run_epochs(
            task,
            lambda callbacks, epoch: run_batches(task.model, task.batches, epoch, step, callbacks),
            self._test(task, task.validation or task.batches),
        )

    def evaluate(self, task: TrainingTask, batches: Batches) -> dict[str, Any]:
        """Step through every batch once, without training."""
        return run_evaluation(task.model, batches, self._test(task, batches))

    def _test(self, task: TrainingTask, batches: Batches) -> Callable[[Any], Logs]:
        """The test step, traced once for the validations and the evaluation after them."""
        key = (id(task), repr(batches.signature))
        if key not in self._tests:
            step = task.test_step or test_step
            self._tests[key] = bind_step(step, task.model, task.execution, batches.signature)
        return self._tests[key]
