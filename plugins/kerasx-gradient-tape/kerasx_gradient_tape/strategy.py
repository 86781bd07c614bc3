"""The loop that people write when they leave `fit`, with nothing of `fit` left out."""

from __future__ import annotations

from typing import Any

from kerasx import (
    Batches,
    BoundStep,
    Capabilities,
    StepOptions,
    StepStrategy,
    TrainingTask,
    run_batches,
    run_epochs,
    run_evaluation,
    test_step,
    train_step,
)


class GradientTapeStrategy(StepStrategy):
    """An explicit loop around calls of the step, which take many batches each or one."""

    capabilities = Capabilities(executions=("fused", "graph", "eager"))
    options_type = StepOptions

    def prepare(self, task: TrainingTask, *, trains: bool = True) -> None:
        """Prepare the step of training, and see to that of validation, which comes later."""
        if trains:
            _train_step(task).prepare()
        if task.validation is not None or not trains:
            _test_step(task, task.validation or task.batches).prepare(compiles=not trains)

    def train(self, task: TrainingTask) -> dict[str, list[float]]:
        """Step through every batch of every epoch."""
        step = _train_step(task)
        return run_epochs(
            task,
            lambda callbacks, epoch: run_batches(step, epoch, callbacks),
            None if task.validation is None else _test_step(task, task.validation),
        )

    def evaluate(self, task: TrainingTask, batches: Batches) -> dict[str, Any]:
        """Step through every batch once, without training."""
        return run_evaluation(_test_step(task, batches))


def _train_step(task: TrainingTask) -> BoundStep:
    return task.bind(task.train_step or train_step, task.batches)


def _test_step(task: TrainingTask, batches: Batches) -> BoundStep:
    return task.bind(task.test_step or test_step, batches)
