"""Strategies made of a user's function, so that a function is enough to be one."""

from __future__ import annotations

from typing import Any

import keras

from kerasx.errors import UsageError
from kerasx.training.loop import run_epochs
from kerasx.training.steps import Logs, Loop, test_step
from kerasx.training.strategy import Capabilities, StepStrategy
from kerasx.training.task import TrainingTask


class LoopStrategy(StepStrategy):
    """Training by a function `(model, batches)` that goes over one epoch and returns logs.

    What the function does is its own: it may be eager or use tf.function. It sees every batch, so batch
    callbacks are its own too; epochs, validation and their callbacks are kept in Keras's order around it.

    Args:
        loop: The function.
    """

    capabilities = Capabilities(executions=("eager", "graph"), jit=False, distribution=False)

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = loop

    def train(self, task: TrainingTask) -> dict[str, list[float]]:
        """Call the loop once an epoch."""

        def epoch_of(callbacks: keras.callbacks.CallbackList, epoch: int) -> Logs:
            logs: Any = self._loop(task.model, task.batches.epoch(epoch))
            task.batches.end_epoch()
            if logs is not None and not isinstance(logs, dict):
                raise UsageError(f"A loop has to return a dictionary of logs, not {type(logs).__name__}.")
            return logs if logs is not None else task.model.get_metrics_result()

        task.loop = self._loop
        validation = task.validation
        test = None if validation is None else task.bind(task.test_step or test_step, validation)
        return run_epochs(task, epoch_of, test, reports=True)
