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


def in_batch(batch: Any) -> str | None:
    """Which part of a batch holds values that are not finite, in words; None where none does."""
    for name, part in zip(("x", "y", "sample_weight"), batch, strict=False):
        if any(not _is_finite(leaf) for leaf in keras.tree.flatten(part)):
            return f"`{name}` of the batch holds values that are not finite"
    return None


def in_step(step: Step, task: TrainingTask, batch: Any) -> str | None:
    """What becomes non-finite in a step on a batch: an output of a layer, the loss, a gradient."""
    seen = _Seen(scales=isinstance(task.model.optimizer, keras.optimizers.LossScaleOptimizer))
    with _layers_watched(seen), observed(seen), contextlib.suppress(Exception):
        # Whatever the step raises once its numbers are none.
        step(task.model, batch)
    if seen.layer is not None:
        return f"the output of the layer `{seen.layer}` was the first that was not finite"
    return seen.said[0] if seen.said else None


@dataclass
class _Seen:
    """What of a step is not finite, in the order in which it was computed."""

    scales: bool
    layer: str | None = None
    said: list[str] = field(default_factory=list)

    def called_layer(self, *seen: Any) -> None:
        """Layers are watched one by one."""

    def computed_loss(self, arguments: dict[str, Any], loss: Any) -> None:
        """The model's loss."""
        if not _is_finite(loss):
            self.said.append(f"the loss is {float(keras.ops.max(loss))}, of finite outputs")

    def called_loss(self, criterion: Any, y_true: Any, y_pred: Any, loss: Any) -> None:
        """The loss of an output."""
        if not _is_finite(loss):
            name = getattr(criterion, "name", type(criterion).__name__)
            self.said.append(f"the loss `{name}` is not finite, of finite outputs")

    def scaled_loss(self, loss: Any, scaled: Any) -> None:
        """A scaled loss may overflow, upon which the scale shrinks."""

    def took_gradient(self, target: Any, sources: Any, gradients: Any) -> None:
        """Gradients as the tape gives them."""
        for leaf in keras.tree.flatten(target):
            if not self.scales and not _is_finite(leaf):
                self.said.append("the loss is not finite, of finite outputs")
        for source, gradient in zip(keras.tree.flatten(sources), keras.tree.flatten(gradients), strict=False):
            # With loss scaling such a step is left out, and no fault.
            if gradient is not None and not self.scales and not _is_finite(gradient):
                path = getattr(source, "path", None) or source.name
                self.said.append(f"the gradient of `{path}` is not finite, of a finite loss")

    def begins_apply(self, optimizer: Any, gradients: list[Any], variables: list[Any]) -> None:
        """Gradients as the optimizer receives them."""
        for variable, gradient in zip(variables, gradients, strict=False):
            if gradient is not None and not self.scales and not _is_finite(gradient):
                self.said.append(f"the gradient of `{variable.path}` is not finite once the step changed it")

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
        outputs = original(layer, *args, **kwargs)
        is_layer = not isinstance(layer, keras.losses.Loss | keras.metrics.Metric)
        looks = seen.layer is None and is_layer and tf.executing_eagerly()
        if looks and not all(map(_is_finite, keras.tree.flatten(outputs))):
            seen.layer = layer.path or layer.name
        return outputs

    keras.Layer.__call__ = call
    try:
        yield
    finally:
        keras.Layer.__call__ = original


def _is_finite(value: Any) -> bool:
    values = value.values if isinstance(value, tf.IndexedSlices) else value
    if not (tf.is_tensor(values) and values.dtype.is_floating):
        return True
    return bool(tf.reduce_all(tf.math.is_finite(values)))
