"""Keras's `fit`, given the batches of the task."""

from __future__ import annotations

from kerasx import StepStrategy, TrainingTask, run_fit


class CompiledFitStrategy(StepStrategy):
    """The model as it is, trained by `fit`; its own steps are called, and none can be named."""

    def train(self, task: TrainingTask) -> dict[str, list[float]]:
        """Call `fit` once, for all epochs."""
        return run_fit(task)
