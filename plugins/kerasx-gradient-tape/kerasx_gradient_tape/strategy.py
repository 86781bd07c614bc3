"""The loop that people write when they leave `fit`, with nothing of `fit` left out."""

from __future__ import annotations

from typing import Any

from kerasx import (
    Batches,
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

    def train(self, task: TrainingTask) -> dict[str, list[float]]:
        """Step through every batch of every epoch."""
        step = bind_step(task.train_step or train_step, task.model, task.execution, task.batches.signature)
        return run_epochs(
            task,
            lambda callbacks, epoch: run_batches(task.model, task.batches, epoch, step, callbacks),
            self._test(task),
        )

    def evaluate(self, task: TrainingTask, batches: Batches) -> dict[str, Any]:
        """Step through every batch once, without training."""
        return run_evaluation(task.model, batches, self._test(task, batches))

    def _test(self, task: TrainingTask, batches: Batches | None = None) -> Any:
        batches = batches or task.validation or task.batches
        return bind_step(task.test_step or test_step, task.model, task.execution, batches.signature)
