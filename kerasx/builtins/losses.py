"""Losses that come with the core."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kerasx")
class SumSquaredError(keras.losses.Loss):
    """Squared error, summed over the outputs and averaged over the rows there are.

    Keras's 'mse' averages over the outputs as well, so that with ten outputs it and every gradient are
    ten times smaller. Sample weights multiply each row's sum; the divisor stays the number of rows, not
    the sum of the weights.

    Labels have the outputs' shape `[batch, outputs]`, or are integers of shape `[batch]` or
    `[batch, 1]`, which are compared as one-hot rows.
    """

    def __init__(
        self,
        name: str = "sum_squared_error",
        reduction: str = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The sum of squares of each row: shape `[batch]`, dtype of the loss (float32 by default)."""
        classes = y_pred.shape[-1] if len(y_pred.shape) > 1 else 1
        if len(y_pred.shape) == 1:
            y_pred = ops.expand_dims(y_pred, -1)
        if len(y_true.shape) == len(y_pred.shape) - 1:
            y_true = ops.expand_dims(y_true, -1)
        if classes > 1 and y_true.shape[-1] == 1:
            # Keras hands labels over as floats; class numbers are small, so the way back is exact.
            y_true = ops.one_hot(ops.cast(ops.squeeze(y_true, -1), "int32"), classes, dtype=y_pred.dtype)
        return ops.sum(ops.square(y_pred - y_true), axis=-1)
