"""The outer loop: epochs, callbacks and validation in Keras's order, around anybody's inner loop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import keras

from kerasx.plain import plain_value
from kerasx.training.binding import BoundStep
from kerasx.training.steps import Logs
from kerasx.training.task import Callbacks, TrainingTask

RunEpoch = Callable[[keras.callbacks.CallbackList, int], Logs]


def run_epochs(
    task: TrainingTask,
    run_epoch: RunEpoch,
    test: BoundStep | None = None,
    *,
    reports: bool = False,
) -> dict[str, list[float]]:
    """Train epoch by epoch, as `fit` does around its steps.

    Args:
        task: The task.
        run_epoch: Trains one epoch and returns the last step's logs, given the callbacks (for the batch
            events) and the epoch.
        test: Evaluates the validation batches; None where there are none.
        reports: Whether what `run_epoch` returns is what the epoch reports, as of a loop that sums up by
            itself; else Keras's rule decides between that and the metrics' results.

    Returns:
        The history by name, epoch by epoch.
    """
    model, callbacks = task.model, task.callback_list(Callbacks)
    model.stop_training = False
    epoch_logs: dict[str, Any] = {}
    callbacks.on_train_begin()
    for epoch in range(_first_epoch(task), task.epochs):
        model.reset_metrics()
        callbacks.on_epoch_begin(epoch)
        logs = run_epoch(callbacks, epoch)
        epoch_logs = dict(logs) if reports else reported_logs(model, logs)
        if test is not None:
            callbacks.position.can_validate_again = True
            validation_logs = run_evaluation(test, callbacks)
            callbacks.position.can_validate_again = False
            epoch_logs.update({f"val_{name}": value for name, value in validation_logs.items()})
        callbacks.on_epoch_end(epoch, epoch_logs)
        if model.stop_training:
            break
    if model.optimizer is not None:
        # An optimizer that averages weights copies the averages in here.
        model.optimizer.finalize_variable_values(model.trainable_variables)
    callbacks.on_train_end(logs=epoch_logs)
    return {name: [plain_value(value) for value in values] for name, values in model.history.history.items()}


def _first_epoch(task: TrainingTask) -> int:
    """Where to begin, after the callbacks were told of the beginning.

    Keras's BackupAndRestore leaves the epoch it restored in a private attribute of the model, which
    `fit` reads at this point; there is no public way to it.
    """
    return getattr(task.model, "_initial_epoch", None) or task.initial_epoch


def begin_at(model: keras.Model, epoch: int) -> None:
    """Have training begin with an epoch, whatever Keras's BackupAndRestore has found."""
    if getattr(model, "_initial_epoch", None):
        model._initial_epoch = epoch


def run_batches(step: BoundStep, epoch: int, callbacks: keras.callbacks.CallbackList) -> Logs:
    """Take a training step on each batch of an epoch; returns the last step's logs.

    Callbacks hear of a batch before and after each call of the step, be it for one batch or for many.
    """
    logs: Logs = {}
    told, start = None, 0
    if isinstance(callbacks, Callbacks):
        callbacks.position.is_exact = True
        told, start = callbacks.told, callbacks.first_step(epoch)
        logs = callbacks.start.logs if start else {}
    with contextlib.closing(step.calls(epoch, told, start)) as calls:
        for call in calls:
            callbacks.on_train_batch_begin(call.first)
            logs = call.run()
            callbacks.on_train_batch_end(call.last, logs)
            if step.model.stop_training:
                break
    return logs


def run_evaluation(test: BoundStep, callbacks: keras.callbacks.CallbackList | None = None) -> dict[str, Any]:
    """Evaluate on all batches; returns what Keras would report."""
    model = test.model
    callbacks = callbacks or keras.callbacks.CallbackList(model=model)
    model.stop_evaluating = False
    callbacks.on_test_begin()
    model.reset_metrics()
    logs: Logs = {}
    with contextlib.closing(test.calls(0)) as calls:
        for call in calls:
            callbacks.on_test_batch_begin(call.first)
            logs = call.run()
            callbacks.on_test_batch_end(call.last, logs)
            if model.stop_evaluating:
                break
    results = {name: plain_value(value) for name, value in reported_logs(model, logs).items()}
    callbacks.on_test_end(results)
    return results


def reported_logs(model: keras.Model, logs: Logs | None) -> dict[str, Any]:
    """What Keras reports for an epoch whose last step returned `logs`.

    The metrics' results where the names agree; otherwise the last step's own values.
    """
    try:
        results = model.get_metrics_result()
    except ValueError:  # Keras's, of metrics that nothing has been measured by yet
        results = {}
    if isinstance(logs, Mapping) and set(logs) == set(results):
        return dict(results)
    return dict(logs or {})
