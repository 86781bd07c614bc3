"""Whether labels fit a loss or a metric, which Keras would compare with the wrong outputs and not say so."""

from __future__ import annotations

from typing import Any

import keras

from kerasx.assembly.keras_names import KerasNames
from kerasx.builtins.losses import SumSquaredError
from kerasx.data.labels import needs_one_hot
from kerasx.data.signature import LabelInfo, Signature, TensorInfo
from kerasx.errors import UsageError

# Keras losses that take class numbers, or labels of another length than the outputs.
_NOT_ELEMENTWISE = ("SparseCategoricalCrossentropy", "CTC")
# Those that compare one output for each class, and those whose labels are probabilities, or not negative.
_OF_CLASSES = (
    "SparseCategoricalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
)
_OF_PROBABILITIES = (
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "KLDivergence",
)
_OF_COUNTS = ("Poisson", "MeanSquaredLogarithmicError")


# Keras metrics that compare element by element, or take the largest of each row of both.
_OF_ROWS = (
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "Precision",
    "Recall",
    "F1Score",
    "FBetaScore",
    "R2Score",
    "PearsonCorrelation",
)


def check_metric(metric: Any, signature: Signature) -> None:
    """Refuse a metric of Keras's that would compare labels and outputs of different shapes.

    Many answer with a number all the same, at least for some sizes of batch.

    Raises:
        UsageError: Labels and outputs do not fit.
    """
    name = type(metric).__name__
    if getattr(keras.metrics, name, None) is not type(metric):
        return
    labels, outputs = signature.labels, signature.outputs
    if not isinstance(labels, LabelInfo) or not isinstance(outputs, TensorInfo):
        return
    shapes = f"labels {labels.described}, outputs {outputs.described}"
    if name.startswith("Sparse"):
        units = outputs.shape[-1] if len(outputs.shape) > 1 else 1
        if units != 1 and len(labels.shape) == len(outputs.shape) and labels.shape[-1] == units:
            raise UsageError(
                f"The metric {name} takes class numbers, and the labels are rows: {shapes}. Name its variant"
                f" without `sparse`{', as the labels are encoded' if labels.one_hot else ''}."
            )
        return
    compares = KerasNames(keras.losses, keras.losses.Loss).find(name.removeprefix("Root"))
    is_elementwise = compares is not None and compares.__name__ not in _NOT_ELEMENTWISE
    if (is_elementwise or name in _OF_ROWS) and needs_one_hot(labels, outputs):
        raise UsageError(
            f"The metric {name} compares labels and outputs element by element, and they have different"
            f" shapes: {shapes}. Encode the labels (--set labels=one-hot) or name another metric, such as its"
            " sparse variant."
        )


def encodes_labels(loss: Any, labels: Any, outputs: Any) -> bool:
    """Whether a Keras loss would compare class numbers with outputs element by element."""
    keras_class = class_of_loss(loss)
    return (
        keras_class not in (None, SumSquaredError)
        and keras_class.__name__ not in _NOT_ELEMENTWISE
        and needs_one_hot(labels, outputs)
    )


def class_of_loss(loss: Any) -> type | None:
    """The class of Keras's and kerasx's own losses, given as object, function or name; None for any other."""
    if isinstance(loss, SumSquaredError):
        return SumSquaredError
    if isinstance(loss, keras.losses.Loss):
        return type(loss) if getattr(keras.losses, type(loss).__name__, None) is type(loss) else None
    names = KerasNames(keras.losses, keras.losses.Loss)
    if isinstance(loss, str):
        return names.find(loss)
    is_keras = getattr(loss, "__module__", "").partition(".")[0] == "keras"
    return names.find(loss.__name__) if is_keras and hasattr(loss, "__name__") else None


def check_labels(loss: Any, signature: Signature) -> None:
    """Refuse labels that the loss would accept and compare with the wrong outputs.

    Raises:
        UsageError: Labels and outputs do not fit.
    """
    labels, outputs = signature.labels, signature.outputs
    keras_class = class_of_loss(loss)
    if keras_class is None or not isinstance(labels, LabelInfo) or not isinstance(outputs, TensorInfo):
        return
    name = keras_class.__name__
    if labels.dtype == "string":
        raise UsageError(
            f"The loss {name} compares numbers, and the labels are text: give class numbers, as"
            " `numpy.unique(labels, return_inverse=True)[1]` has them."
        )
    if labels.dtype.startswith("complex"):
        raise UsageError(f"The loss {name} compares real numbers, and the labels are {labels.described}.")
    units = outputs.shape[-1] if len(outputs.shape) > 1 else 1
    if units == 1 and name in _OF_CLASSES and getattr(loss, "axis", -1) == -1:
        raise UsageError(
            f"The loss {name} compares the outputs of classes, and the model has one output,"
            f" {outputs.described}: the loss is the same whatever that is. Give the model an output for each"
            " class, or use binary_crossentropy."
        )
    takes_numbers = keras_class in (keras.losses.SparseCategoricalCrossentropy, SumSquaredError)
    if takes_numbers and units is not None and units > 1 and _is_column_of(labels, outputs):
        if labels.known and not _are_classes(labels, units, getattr(loss, "ignore_class", None)):
            raise UsageError(
                f"The labels go from {labels.minimum:g} to {labels.maximum:g}, and are compared as class"
                f" numbers with the {units} outputs of the model, for the classes 0 to {units - 1}."
                " Give the model more outputs, or other labels."
            )
        return
    if keras_class is keras.losses.SparseCategoricalCrossentropy:
        raise UsageError(
            f"The loss {name} takes class numbers, and the labels are {labels.described} for outputs"
            f" {outputs.described}: use categorical_crossentropy for one-hot labels."
        )
    if name in _NOT_ELEMENTWISE:
        return
    if _without_column(labels) != _without_column(outputs):
        raise UsageError(
            f"The loss {name} compares labels and outputs element by element, and they have different"
            f" shapes: labels {labels.described}, outputs {outputs.described}."
        )
    if labels.known and name in _OF_PROBABILITIES and (labels.minimum < 0 or labels.maximum > 1):
        raise UsageError(
            f"The loss {name} takes labels from 0 to 1, and these go from {labels.minimum:g} to"
            f" {labels.maximum:g}. Scale or encode them (--set labels=one-hot for class numbers), or name"
            " another loss."
        )
    if labels.known and name in _OF_COUNTS and labels.minimum < 0:
        raise UsageError(
            f"The loss {name} takes labels from 0, and these begin at {labels.minimum:g}. Name another loss,"
            " or give other labels."
        )


def _are_classes(labels: LabelInfo, units: int, ignored: int | None) -> bool:
    """Whether labels are numbers of classes, but for one that the loss ignores, such as -1 or 255."""
    is_low = labels.minimum < 0 and labels.minimum != ignored
    is_high = labels.maximum >= units and labels.maximum != ignored
    return labels.integral and not is_low and not is_high


def _is_column_of(labels: LabelInfo, outputs: TensorInfo) -> bool:
    """Whether there is one label for each row of outputs."""
    rank = len(labels.shape) - (len(labels.shape) > 1 and labels.shape[-1] == 1)
    return rank == len(outputs.shape) - 1


def _without_column(info: TensorInfo) -> tuple[int | None, ...]:
    """The shape without the batch, and without a last axis of one, which Keras adds or drops."""
    return info.shape[1:-1] if len(info.shape) > 1 and info.shape[-1] == 1 else info.shape[1:]
