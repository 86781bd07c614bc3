"""What becomes non-finite first within a step that is taken eagerly: batch, output, loss or gradient."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from kerasx.training.seams import observed
from kerasx.training.steps import Step
from kerasx.training.task import TrainingTask

PARTS = ("x", "y", "sample_weight")


def in_batch(batch: Any) -> str | None:
    """Which part of a batch holds values that are not finite, in words; None where none does."""
    for name, part in zip(PARTS, batch, strict=False):
        if not _are_finite(part):
            return f"`{name}` of the batch holds values that are not finite"
    return None


def in_step(step: Step, task: TrainingTask, batch: Any) -> str | None:
    """What becomes non-finite in a step on a batch: of the batch, an output of a layer, the loss, a gradient.

    What is made finite again is passed over, as missing values that a layer fills, or logits that are masked.
    A batch is at fault where the step stays finite with 0 in the place of what is not.
    """
    if in_batch(batch) is None:
        return _seen_in(step, task, batch).said
    before = [(each, each.numpy()) for each in task.model.variables]

    def said_of(other: Any) -> str | None:
        for variable, value in before:
            variable.assign(value)
        return _seen_in(step, task, other).said

    if said_of(batch) is None:
        return None
    filled = tuple(keras.tree.map_structure(_filled, part) for part in batch)
    for place, part in enumerate(batch):
        alone = (*batch[:place], filled[place], *batch[place + 1 :])
        if not _are_finite(part) and said_of(alone) is None:
            return in_batch((*filled[:place], part))
    without = said_of(filled)
    return in_batch(batch) if without is None else without


def _seen_in(step: Step, task: TrainingTask, batch: Any) -> _Seen:
    seen = _Seen(scales=isinstance(task.model.optimizer, keras.optimizers.LossScaleOptimizer))
    with _layers_watched(seen), observed(seen), contextlib.suppress(Exception):
        # Whatever the step raises once its numbers are none.
        step(task.model, batch)
    return seen


@dataclass
class _Seen:
    """What of a step is not finite: the first of each kind.

    Attributes:
        scales: Whether the optimizer scales the loss.
        layer: Whose output is not, as far as no later layer has made finite of it.
        passed: Layers whose outputs were not, and of which later ones have made something finite.
        of_loss: What is to be said of the loss.
        of_gradient: What is to be said of a gradient.
    """

    scales: bool
    layer: str | None = None
    passed: list[str] = field(default_factory=list)
    of_loss: str | None = None
    of_gradient: str | None = None

    @property
    def said(self) -> str | None:
        """What was first, in words; None where all is finite."""
        if self.layer is not None:
            return f"the output of the layer `{self.layer}` was the first that was not finite"
        if self.of_loss is None and self.of_gradient is not None and self.passed:
            return (
                f"{self.of_gradient}, after the output of the layer `{self.passed[0]}`, which was not finite"
            )
        return self.of_loss or self.of_gradient

    def called(self, name: str, outputs: Any, inputs: Any, is_within: bool) -> None:
        """A layer was called; `is_within` says that nothing was seen before it was.

        What it makes finite, of its inputs or of what is within it, is passed over.
        """
        if self.layer is None:
            if not _are_finite(outputs):
                self.layer = name
        elif (is_within or not _are_finite(inputs)) and _are_finite(outputs):
            self.passed.append(self.layer)
            self.layer = None

    def called_layer(self, *seen: Any) -> None:
        """Layers are watched one by one."""

    def computed_loss(self, arguments: dict[str, Any], loss: Any) -> None:
        """The model's loss."""
        if not _is_finite(loss):
            self.of_loss = self.of_loss or f"the loss is {float(keras.ops.max(loss))}, of finite outputs"

    def called_loss(self, criterion: Any, y_true: Any, y_pred: Any, loss: Any) -> None:
        """The loss of an output."""
        if not _is_finite(loss):
            name = getattr(criterion, "name", type(criterion).__name__)
            self.of_loss = self.of_loss or f"the loss `{name}` is not finite, of finite outputs"

    def scaled_loss(self, loss: Any, scaled: Any) -> None:
        """A scaled loss may overflow, upon which the scale shrinks."""

    def took_gradient(self, target: Any, sources: Any, gradients: Any) -> None:
        """Gradients as the tape gives them."""
        for leaf in keras.tree.flatten(target):
            if not self.scales and not _is_finite(leaf):
                self.of_loss = self.of_loss or "the loss is not finite, of finite outputs"
        for source, gradient in zip(keras.tree.flatten(sources), keras.tree.flatten(gradients), strict=False):
            # With loss scaling such a step is left out, and no fault.
            if gradient is not None and not self.scales and not _is_finite(gradient):
                path = getattr(source, "path", None) or source.name
                said = f"the gradient of `{path}` is not finite, of a finite loss"
                self.of_gradient = self.of_gradient or said

    def begins_apply(self, optimizer: Any, gradients: list[Any], variables: list[Any]) -> None:
        """Gradients as the optimizer receives them."""
        for variable, gradient in zip(variables, gradients, strict=False):
            if gradient is not None and not self.scales and not _is_finite(gradient):
                said = f"the gradient of `{variable.path}` is not finite once the step changed it"
                self.of_gradient = self.of_gradient or said

    def applied(self, optimizer: Any) -> None:
        """Seen in the weights."""

    def updated_metric(self, *seen: Any) -> None:
        """Metrics may be what they like."""


@contextlib.contextmanager
def _layers_watched(seen: _Seen) -> Iterator[None]:
    """Note the first layer whose outputs are not finite, the innermost one."""
    original = keras.Layer.__call__

    @functools.wraps(original)
    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        before = seen.layer
        outputs = original(layer, *args, **kwargs)
        if tf.executing_eagerly() and not isinstance(layer, keras.losses.Loss | keras.metrics.Metric):
            seen.called(layer.path or layer.name, outputs, (args, kwargs), before is None)
        return outputs

    keras.Layer.__call__ = call
    try:
        yield
    finally:
        keras.Layer.__call__ = original


def _are_finite(values: Any) -> bool:
    return all(map(_is_finite, keras.tree.flatten(values)))


def _is_finite(value: Any) -> bool:
    values = value.values if isinstance(value, tf.IndexedSlices | tf.SparseTensor) else value
    if not (tf.is_tensor(values) and values.dtype.is_floating):
        return True
    return bool(tf.reduce_all(tf.math.is_finite(values)))


def _filled(value: Any) -> Any:
    if isinstance(value, tf.SparseTensor):
        return tf.SparseTensor(value.indices, _filled(value.values), value.dense_shape)
    if not tf.is_tensor(value) or not value.dtype.is_floating:
        return value
    return tf.where(tf.math.is_finite(value), value, tf.zeros_like(value))
