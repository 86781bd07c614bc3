"""What becomes non-finite first within a step that is taken eagerly: batch, output, loss or gradient."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from kerasx.training.seams import observed
from kerasx.training.steps import Step
from kerasx.training.task import TrainingTask

PARTS = ("x", "y", "sample_weight")


def in_batch(batch: Any, parts: Sequence[str] = PARTS) -> str | None:
    """Which part of a batch holds values that are not finite, in words; None where none of these does."""
    for name, part in zip(PARTS, batch, strict=False):
        if name in parts and not _are_finite(part):
            return f"`{name}` of the batch holds values that are not finite"
    return None


def in_step(step: Step, task: TrainingTask, batch: Any) -> str | None:
    """What becomes non-finite in a step on a batch: of the batch, an output of a layer, the loss, a gradient.

    What is made finite again is passed over, as missing values that a layer fills, or logits that are masked.
    """
    seen = _Seen(scales=isinstance(task.model.optimizer, keras.optimizers.LossScaleOptimizer))
    with _layers_watched(seen), observed(seen), contextlib.suppress(Exception):
        # Whatever the step raises once its numbers are none.
        step(task.model, batch)
    if seen.layer is not None:
        layer = f"the output of the layer `{seen.layer}` was the first that was not finite"
        return layer if seen.is_of_finite else in_batch(batch) or layer
    if seen.of_loss is not None:
        return in_batch(batch, PARTS[1:]) or seen.of_loss
    if seen.of_gradient is not None and seen.passed:
        return f"{seen.of_gradient}, after the output of the layer `{seen.passed[0]}`, which was not finite"
    return seen.of_gradient


@dataclass
class _Seen:
    """What of a step is not finite: the first of each kind.

    Attributes:
        scales: Whether the optimizer scales the loss.
        layer: Whose output is not, as far as no later layer has made finite of it.
        is_of_finite: Whether that layer's inputs are.
        passed: Layers whose outputs were not, and of which later ones have made something finite.
        of_loss: What is to be said of the loss.
        of_gradient: What is to be said of a gradient.
    """

    scales: bool
    layer: str | None = None
    is_of_finite: bool = True
    passed: list[str] = field(default_factory=list)
    of_loss: str | None = None
    of_gradient: str | None = None

    def called(self, name: str, is_of_finite: bool, is_finite: bool, is_outermost: bool) -> None:
        """A layer's outputs."""
        if self.layer is None:
            if not is_finite:
                self.layer, self.is_of_finite = name, is_of_finite
        elif is_finite and (is_outermost or not is_of_finite):
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
    depth = 0

    @functools.wraps(original)
    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal depth
        depth += 1
        try:
            outputs = original(layer, *args, **kwargs)
        finally:
            depth -= 1
        if tf.executing_eagerly() and not isinstance(layer, keras.losses.Loss | keras.metrics.Metric):
            is_of_finite = _are_finite((args, kwargs))
            seen.called(layer.path or layer.name, is_of_finite, _are_finite(outputs), not depth)
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
