"""Models that come with the core."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kerasx.data.signature import LabelInfo, Signature, TensorInfo
from kerasx.errors import UsageError

# Labels that go further, such as prices or identifiers, are hardly numbers of classes.
_MOST_CLASSES = 2**16


def mlp(signature: Signature, hidden: Sequence[int] = (256, 128), outputs: int | None = None) -> keras.Model:
    """Flatten, a dense relu layer for each of `hidden`, and a dense layer without activation.

    Args:
        signature: Shapes and dtypes of the data; one input and one label tensor.
        hidden: Units of the hidden layers.
        outputs: Units of the last layer; None takes the number of classes, or the labels' last axis.

    Returns:
        A model from inputs of the data's shape to `[batch, outputs]`.

    Raises:
        UsageError: The data has several inputs or labels.
    """
    inputs, labels = signature.inputs, signature.labels
    if not isinstance(inputs, TensorInfo) or not isinstance(labels, LabelInfo):
        raise UsageError(
            "The model `mlp` takes one input and one label tensor, and the data has another structure."
            " Name a model of your own: --model path/file.py:build"
        )
    if outputs is None and labels.numbers and not labels.known:
        raise UsageError(
            "How many classes a pipeline's labels speak of is not known before it runs: say how many outputs"
            " the model has (--set model.outputs=10)."
        )
    if outputs is None and (labels.classes or 0) > _MOST_CLASSES:
        raise UsageError(
            f"The labels go up to {labels.maximum:.0f}, which would be as many classes. For a regression give"
            " them as labels.astype('float32'); for classes number those that there are, or say how many"
            " outputs the model has (--set model.outputs=10)."
        )
    if outputs is None:
        outputs = labels.classes or (labels.shape[-1] if len(labels.shape) > 1 else None) or 1
    return keras.Sequential(
        [
            keras.Input(inputs.shape[1:], dtype=inputs.dtype),
            keras.layers.Flatten(),
            *(keras.layers.Dense(units, activation="relu") for units in hidden),
            keras.layers.Dense(outputs),
        ],
        name="mlp",
    )
