"""Drives the reference step over the epochs of a plan, with callbacks in Keras's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kerasx.parity.reference.deviation import At, Deviation
from kerasx.parity.reference.step import test_step, train_step
from kerasx.plain import plain_value
from kerasx.training.loop import reported_logs

Batch = tuple[Any, ...]


@dataclass(frozen=True)
class Plan:
    """What is stepped through.

    Attributes:
        epochs: For each epoch its training batches, each `(x, y, sample_weight)`; None for one that is
            handed out and left aside.
        evaluation: The batches of the evaluation after each epoch; None where there is none.
        tells: Whether callbacks hear of the steps of evaluations, which then have places in the trace.
    """

    epochs: tuple[tuple[Batch | None, ...], ...]
    evaluation: tuple[Batch, ...] | None
    tells: bool = True


def run(
    model: keras.Model,
    plan: Plan,
    deviations: Sequence[Deviation],
    callbacks: keras.callbacks.CallbackList,
    memory: dict[Any, Any],
) -> None:
    """Train a compiled model as `fit` does, but for the deviations.

    Args:
        model: Compiled; its state is what it starts from.
        plan: What to step through.
        deviations: What is otherwise than in Keras.
        callbacks: Told of the beginnings and ends of steps and epochs.
        memory: What the deviations, and the terms of the losses, are kept in.
    """
    here = [each for each in deviations if each.scope in ("training", "both")]
    there = [each for each in deviations if each.scope in ("evaluation", "both")]
    at = At(model, memory=memory)
    for each in deviations:
        each.begins(at)
    index = -1
    model.stop_training = False
    callbacks.on_train_begin()
    for epoch, batches in enumerate(plan.epochs):
        at = At(model, "training", epoch, index, memory=memory)
        _reset(model, here, at)
        callbacks.on_epoch_begin(epoch)
        logs: dict[str, Any] = {}
        for number, batch in enumerate(batches):
            index += 1
            callbacks.on_train_batch_begin(number)
            if batch is not None:
                at = At(model, "training", epoch, index, batch, memory)
                logs = train_step([each for each in here if each.applies(at)], at)
            callbacks.on_train_batch_end(number, logs)
            if model.stop_training:
                break
        epoch_logs = dict(reported_logs(model, logs))
        for each in here:
            epoch_logs = each.epoch_logs(epoch_logs, at)
        if plan.evaluation is not None:
            start = At(model, "evaluation", epoch, index if plan.tells else -1, memory=memory)
            told = callbacks if plan.tells else None
            reported = _evaluate(model, plan.evaluation, there, told, start)
            index += len(plan.evaluation) if plan.tells else 0
            epoch_logs.update({f"val_{name}": value for name, value in reported.items()})
        callbacks.on_epoch_end(epoch, {name: plain_value(value) for name, value in epoch_logs.items()})
        index += 1  # what an epoch reports has a place of its own
        if model.stop_training:
            break
    if model.optimizer is not None and all(each.finalizes(at) for each in deviations):
        model.optimizer.finalize_variable_values(model.trainable_variables)


def _reset(model: keras.Model, deviations: Sequence[Deviation], at: At) -> None:
    if all(each.resets(None, at) for each in deviations):
        model.reset_metrics()
        return
    for metric in model.metrics:
        if all(each.resets(metric, at) for each in deviations):
            metric.reset_state()


def _evaluate(
    model: keras.Model,
    batches: Sequence[Batch],
    deviations: Sequence[Deviation],
    callbacks: keras.callbacks.CallbackList | None,
    start: At,
) -> dict[str, Any]:
    index = start.index
    _reset(model, deviations, start)
    logs: dict[str, Any] = {}
    for number, batch in enumerate(batches):
        if callbacks is not None:
            index += 1
            callbacks.on_test_batch_begin(number)
        at = At(model, "evaluation", start.epoch, index, batch, start.memory)
        logs = test_step(deviations, at)
        if callbacks is not None:
            callbacks.on_test_batch_end(number, logs)
    reported = dict(reported_logs(model, logs))
    for each in deviations:
        reported = each.epoch_logs(reported, At(model, "evaluation", start.epoch, index, memory=start.memory))
    return reported
