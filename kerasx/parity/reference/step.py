"""Keras's training and test step, written out eagerly, with a place for every deviation.

What happens and in which order is that of Keras's own `train_step` and `test_step` (keras/src/backend/
tensorflow/trainer.py, Keras 3.15); that it still is on the installed version is verified before a cause is
named.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from kerasx.parity.reference.deviation import KIND, Apply, At, Deviation, Track
from kerasx.parity.reference.objective import Term, terms_of
from kerasx.training.steps import total_loss, track_loss

# Where a run keeps what the losses of its steps were made of and the outputs of the last forward pass.
TERMS, OUTPUTS = "terms", "outputs"
# And of each step what is reported of it is made of: where it was, its loss and what metrics were given.
REPORTED = "reported"
# What the model was compiled with, which it does not tell easily.
WEIGHTS = "loss weights"


def train_step(deviations: Sequence[Deviation], at: At) -> dict[str, Any]:
    """One training step.

    Args:
        deviations: What is otherwise than in Keras, in the order in which it is done.
        at: Where the run is, with the batch.

    Returns:
        The logs, by name.
    """
    model, optimizer = at.model, at.model.optimizer
    at.memory[KIND] = at.kind
    for each in deviations:
        each.before(at)
    with tf.GradientTape() as tape:
        y_pred = at.memory[OUTPUTS] = at.forward(_flag(deviations, True, at))
        loss = _loss(deviations, y_pred, at)
        tracked(deviations, at)(loss)
        scales = all(each.scales(at) for each in deviations)
        differentiated = optimizer.scale_loss(loss) if scales else loss
    variables = list(model.trainable_variables)
    for each in deviations:
        variables = each.sources(variables, at)
    if variables:
        gradients = list(tape.gradient(differentiated, variables))
        for each in deviations:
            gradients = each.gradients(gradients, variables, at)

        apply: Apply = _apply
        for each in deviations:
            apply = each.apply(apply, at)
        apply(optimizer, gradients, variables)
    for each in deviations:
        each.after(at)
    return _reported(deviations, loss, y_pred, at)


def test_step(deviations: Sequence[Deviation], at: At) -> dict[str, Any]:
    """One evaluation step; arguments and result as for `train_step`."""
    at.memory[KIND] = at.kind
    for each in deviations:
        each.before(at)
    y_pred = at.memory[OUTPUTS] = at.forward(_flag(deviations, False, at))
    loss = _loss(deviations, y_pred, at)
    tracked(deviations, at)(loss)
    for each in deviations:
        each.after(at)
    return _reported(deviations, loss, y_pred, at)


def _flag(deviations: Sequence[Deviation], training: bool, at: At) -> bool | None:
    """As Keras passes it: only where the model's `call` takes it."""
    flag: bool | None = training if takes_training(at.model) else None
    for each in deviations:
        flag = each.flag(flag, at)
    return flag


def takes_training(model: keras.Model) -> bool:
    """Whether `call` has a parameter for the training flag."""
    return "training" in inspect.signature(model.call).parameters


def _loss(deviations: Sequence[Deviation], y_pred: Any, at: At) -> Any:
    """The model's own loss, or what deviations make of its terms.

    The model's own is computed in any case: Keras keeps the means of several outputs' losses there.
    """
    model, (x, y, sample_weight) = at.model, at.batch
    own = total_loss(model, x, y, y_pred, sample_weight, training=at.kind == "training")
    times = 1.0
    for each in deviations:
        times = each.extras(times, at)
    terms = kept = terms_of(model, y, y_pred, sample_weight, at.memory.get(WEIGHTS))
    parts = tuple(float(sum_of([each])) for each in model.losses)
    at.memory[TERMS, at.index] = (terms, sum_of(model.losses), at, own, parts)
    if terms is not None:
        for each in deviations:
            terms = each.terms(terms, at)
    loss = own
    if terms is not kept or times != 1.0:
        loss = composed(terms or [], sum_of(model.losses), times)
    for each in deviations:
        loss = each.loss(loss, at)
    return loss


def composed(terms: Sequence[Term], added: Any, times: float) -> Any:
    """The whole of a loss: a float32 scalar."""
    return sum((term.value() for term in terms), start=added * times)


def sum_of(losses: Sequence[Any]) -> Any:
    """What layers added to the loss: a scalar."""
    return sum((keras.ops.sum(keras.ops.cast(loss, "float32")) for loss in losses), start=tf.constant(0.0))


def _apply(optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
    optimizer.apply(gradients, variables)


def _track(at: At, loss: Any) -> None:
    track_loss(at.model, loss, at.batch[0])


def tracked(deviations: Sequence[Deviation], at: At) -> Track:
    """What adds the loss of a step to what is reported."""
    track: Track = functools.partial(_track, at)
    for each in deviations:
        track = each.track(track, at)
    return track


def _reported(deviations: Sequence[Deviation], loss: Any, y_pred: Any, at: At) -> dict[str, Any]:
    for each in deviations:
        y_pred = each.outputs(y_pred, at)
    at.memory[REPORTED, at.index] = (at, loss, at.memory[OUTPUTS], y_pred)
    return measured(deviations, y_pred, at)


def measured(deviations: Sequence[Deviation], y_pred: Any, at: At) -> dict[str, Any]:
    """The logs of a step, whose metrics are given these outputs."""
    x, y, sample_weight = at.batch
    logs = dict(at.model.compute_metrics(x, y, y_pred, sample_weight=sample_weight))
    for each in deviations:
        logs = each.logs(logs, at)
    return logs
