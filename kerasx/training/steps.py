"""The step: Keras's training and test step in public calls, and how a user's function is told apart."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

import keras
import tensorflow as tf

from kerasx.errors import UsageError

Logs = Mapping[str, Any]
Step = Callable[[keras.Model, Any], Logs]
Loop = Callable[[keras.Model, Any], Logs]


def train_step(model: keras.Model, data: Any) -> Logs:
    """One training step with Keras's semantics, written out with a GradientTape.

    Args:
        model: Compiled with optimizer, loss and metrics.
        data: A batch: `(x,)`, `(x, y)` or `(x, y, sample_weight)`, each a tensor or a structure of them.

    Returns:
        The metrics' results so far in this epoch, by name.
    """
    return train_step_on(model, data, lambda loss: loss)


def train_step_on(model: keras.Model, data: Any, objective: Callable[[Any], Any]) -> Logs:
    """`train_step`, with the gradient of something else than the loss, which is reported all the same.

    Args:
        model: As for `train_step`.
        data: As for `train_step`.
        objective: Makes of the loss, a scalar tensor, what the gradient is taken of.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    with tf.GradientTape() as tape:
        y_pred = forward(model, x, training=True)
        loss = total_loss(model, x, y, y_pred, sample_weight, training=True)
        track_loss(model, loss, x)
        scaled_loss = model.optimizer.scale_loss(objective(loss))
    if model.trainable_variables:
        gradients = tape.gradient(scaled_loss, model.trainable_variables)
        model.optimizer.apply(gradients, model.trainable_variables)
    return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)  # type: ignore[no-any-return]


def test_step(model: keras.Model, data: Any) -> Logs:
    """One evaluation step with Keras's semantics; arguments and result as for `train_step`."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    y_pred = forward(model, x, training=False)
    loss = total_loss(model, x, y, y_pred, sample_weight, training=False)
    track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)  # type: ignore[no-any-return]


def forward(model: keras.Model, x: Any, *, training: bool) -> Any:
    """The model's outputs; as in Keras, `training` is passed only where `call` takes it."""
    if "training" in inspect.signature(model.call).parameters:
        return model(x, training=training)
    return model(x)


def total_loss(model: keras.Model, x: Any, y: Any, y_pred: Any, sample_weight: Any, *, training: bool) -> Any:
    """The model's loss and the losses its layers add, a scalar tensor.

    An overridden `compute_loss` may lack the argument `training`, which came with Keras 3.3.
    """
    if "training" in inspect.signature(model.compute_loss).parameters:
        return model.compute_loss(x, y, y_pred, sample_weight, training=training)
    return model.compute_loss(x, y, y_pred, sample_weight)


def loss_tracker(model: keras.Model) -> keras.metrics.Mean | None:
    """The mean that is reported as the loss; None for a model that is not compiled with a loss."""
    # Keras's own list: a model that overrides `metrics` may have another metric of that name.
    metrics = keras.Model.metrics.fget(model)
    return next((m for m in metrics if m.name == "loss" and isinstance(m, keras.metrics.Mean)), None)


def track_loss(model: keras.Model, loss: Any, x: Any) -> None:
    """Add the loss to the mean that is reported, weighted by the rows of the batch."""
    tracker = loss_tracker(model)
    if tracker is None:
        return
    # Under a distribution strategy the loss is divided by the replicas; what is reported is not.
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    rows = tf.shape(next(leaf for leaf in keras.tree.flatten(x) if leaf is not None))[0]
    tracker.update_state(loss * replicas if replicas > 1 else loss, sample_weight=rows)


def overrides(model: keras.Model, method: Literal["train_step", "test_step"]) -> bool:
    """Whether the model brings a step of its own."""
    return getattr(type(model), method) is not getattr(keras.Model, method) or method in vars(model)


def own_train_step(model: keras.Model, data: Any) -> Logs:
    """The model's own `train_step`, in the form of a step function."""
    return model.train_step(data)  # type: ignore[no-any-return]


def own_test_step(model: keras.Model, data: Any) -> Logs:
    """The model's own `test_step`, in the form of a step function."""
    return model.test_step(data)  # type: ignore[no-any-return]


def returning_logs(step: Step, name: str) -> Step:
    """The step, with a look at what it returns.

    Raises:
        UsageError: When called, it returned something else than a mapping of logs.
    """

    @functools.wraps(step)
    def checked(model: keras.Model, data: Any) -> Logs:
        logs = step(model, data)
        if not isinstance(logs, Mapping):
            raise UsageError(
                f"The step `{name}` has to return a dictionary of logs, and returned {type(logs).__name__}."
                " End it with `return model.compute_metrics(x, y, y_pred, sample_weight)`."
            )
        for key, value in logs.items():
            if isinstance(value, str | bytes):
                raise UsageError(f"The step `{name}` returned {value!r} as `{key}`, which is no number.")
        return logs

    return checked


def kind_of_function(function: Callable[..., Any], name: str) -> Literal["step", "loop"]:
    """Tell a step `(model, data)` from a loop over one epoch `(model, batches)`.

    Raises:
        UsageError: It has other parameters.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise UsageError(f"`{name}` has no readable signature. Write a function (model, data).") from error
    required = [
        p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) < 2 or len(required) > 2 or any(p.kind is p.KEYWORD_ONLY for p in required):
        given = ", ".join(p.name for p in parameters)
        raise UsageError(
            f"`{name}` takes ({given}). A step takes (model, data) and returns logs; a loop over one epoch"
            " takes (model, batches)."
        )
    second = positional[1].name
    return "loop" if second in ("batches", "dataset") else "step"
