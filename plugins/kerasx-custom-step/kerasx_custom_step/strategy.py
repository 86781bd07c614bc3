"""`fit` with the step replaced, as overriding `train_step` does, but from outside the model."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

from kerasx import (
    Batches,
    BoundStep,
    Capabilities,
    Step,
    StepOptions,
    StepStrategy,
    TrainingTask,
    check_fit_calls_functions,
    own_test_step,
    own_train_step,
    run_evaluation,
    run_fit,
    run_fused_fit,
    test_step,
    train_step,
)


class CustomStepStrategy(StepStrategy):
    """Training through `fit`, so that every callback works, by a step that is not the model's."""

    capabilities = Capabilities(executions=("fused", "graph", "eager"))
    options_type = StepOptions

    def prepare(self, task: TrainingTask, *, trains: bool = True) -> None:
        """Prepare the step of training, and see to that of validation, which comes later."""
        if trains:
            if task.execution.fused:
                check_fit_calls_functions(task.model)
            _train_step(task).prepare()
        if task.validation is not None or not trains:
            _test_step(task, task.validation or task.batches).prepare(compiles=not trains)

    def train(self, task: TrainingTask) -> dict[str, list[float]]:
        """Replace the steps, call `fit` once for all epochs, and put the model's own back."""
        # Also where steps are fused: a callback may call the model's own functions.
        with _replaced(task, train=task.train_step or train_step):
            if not task.execution.fused:
                return run_fit(task)
            test = None if task.validation is None else _test_step(task, task.validation)
            return run_fused_fit(task, _train_step(task), test)

    def evaluate(self, task: TrainingTask, batches: Batches) -> dict[str, Any]:
        """Evaluate by Keras's or the named test step."""
        if task.execution.fused:
            return run_evaluation(_test_step(task, batches))
        with _replaced(task):
            return super().evaluate(task, batches)


def _train_step(task: TrainingTask) -> BoundStep:
    return task.bind(task.train_step or train_step, task.batches)


def _test_step(task: TrainingTask, batches: Batches) -> BoundStep:
    return task.bind(task.test_step or test_step, batches)


@contextlib.contextmanager
def _replaced(task: TrainingTask, train: Step | None = None) -> Iterator[None]:
    """Let the model call other steps for a while.

    As instance attributes they keep the model's class, so that checkpoints written meanwhile can be
    loaded. `fit` keeps the function that it traced, which therefore is made anew before and after.
    """
    model = task.model
    kept = dict(vars(model))
    steps = {
        name: step
        for name, step in (("train_step", train), ("test_step", task.test_step))
        if step is not None and step not in (own_train_step, own_test_step)
    }
    try:
        for name in steps:
            setattr(model, name, functools.partial(steps[name], model))
            _forget_function(model, name)
        yield
    finally:
        for name in steps:
            if name in kept:
                setattr(model, name, kept[name])
            else:
                delattr(model, name)
            _forget_function(model, name)


def _forget_function(model: Any, name: str) -> None:
    if name == "train_step":
        model.make_train_function(force=True)
    else:
        model.make_test_function(force=True)
