"""Metrics that come with the core."""

from __future__ import annotations

import keras

from kerasx.data.signature import LabelInfo, Signature, TensorInfo
from kerasx.errors import UsageError


def accuracy(signature: Signature, name: str = "accuracy") -> keras.metrics.Metric:
    """The accuracy that fits labels and outputs, or a refusal.

    The string 'accuracy' of Keras becomes another meter by the shapes of the first batch, and one that
    does not fit still answers with a number. Here the choice is made before training, from the labels'
    values as well as their shape.

    Args:
        signature: Of the data and of the model's outputs.
        name: Key in the logs.

    Raises:
        UsageError: Labels and outputs fit no accuracy.
    """
    labels, outputs = signature.labels, signature.outputs
    if not isinstance(labels, LabelInfo) or not isinstance(outputs, TensorInfo):
        raise UsageError(
            "The metric `accuracy` is for one label tensor and one output. With several, name a metric"
            " for each, as a Keras model does in `compile`."
        )
    given = f"labels of shape {labels.described} and outputs of shape {outputs.described}"
    units = (outputs.shape[-1] if len(outputs.shape) > 1 else 1) or 1
    # A last axis of one holds a single number for each row, with or without the axis.
    label_rank = len(labels.shape) - (len(labels.shape) > 1 and labels.shape[-1] == 1)
    output_rank = len(outputs.shape) - (len(outputs.shape) > 1 and units == 1)
    if units == 1 and label_rank == output_rank:
        if labels.integral and not labels.minimum < 0 and not labels.maximum > 1:
            return keras.metrics.BinaryAccuracy(name=name)
        if not labels.known:
            raise UsageError(_not_known(given))
        raise UsageError(
            f"The metric `accuracy` does not fit {given}: a single output is measured against labels 0"
            f" and 1, and these go from {labels.minimum:g} to {labels.maximum:g}. For a regression name"
            " another metric, `mean_absolute_error` say; for classes give the model one output a class."
        )
    if units > 1 and labels.one_hot and labels.shape[1:] == outputs.shape[1:]:
        return keras.metrics.CategoricalAccuracy(name=name)
    if units > 1 and labels.integral and label_rank == output_rank - 1:
        if not labels.minimum < 0 and not labels.maximum >= units:
            return keras.metrics.SparseCategoricalAccuracy(name=name)
        raise UsageError(
            f"The metric `accuracy` does not fit {given}: the labels go from {labels.minimum:g} to"
            f" {labels.maximum:g}, and the model has outputs for the classes 0 to {units - 1}."
        )
    if not labels.known and (labels.shape[1:] == outputs.shape[1:] or label_rank == output_rank - 1):
        raise UsageError(_not_known(given))
    raise UsageError(
        f"The metric `accuracy` does not fit {given}. It takes class numbers [batch] or one-hot rows"
        " [batch, classes] against outputs [batch, classes], or labels 0 and 1 against one output."
        " (A model that returns the arg-max of its outputs cannot be measured: return the outputs.)"
    )


def _not_known(given: str) -> str:
    return (
        f"Which accuracy fits {given} depends on the labels' values, which a pipeline does not tell before it"
        " runs: name `binary_accuracy`, `categorical_accuracy` or `sparse_categorical_accuracy`."
    )
