"""Keras's `fit`, given the batches of the task."""

from __future__ import annotations

from kerasx import Capabilities, StepStrategy, TrainingTask, run_fit


class CompiledFitStrategy(StepStrategy):
    """The model as it is, trained by `fit`; its own steps are called, and none can be named.

    The fused execution is Keras's own: `steps_per_execution`.
    """

    capabilities = Capabilities(executions=("graph", "fused", "eager"))

    def train(self, task: TrainingTask) -> dict[str, list[float]]:
        """Call `fit` once, for all epochs."""
        return run_fit(task)
