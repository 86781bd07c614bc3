"""Labels: class numbers as one-hot rows, and as the weights of their classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasx.data.arrays import Arrays
from kerasx.data.dataset import Dataset
from kerasx.data.memory import memory
from kerasx.data.signature import LabelInfo, TensorInfo
from kerasx.data.streams import Stream
from kerasx.errors import UsageError


def one_hot(dataset: Dataset, classes: int) -> Dataset:
    """The data with its class numbers `[rows]` or `[rows, 1]` as float32 rows `[rows, classes]`.

    Raises:
        UsageError: The labels are not one tensor of class numbers below `classes`.
    """
    labels = dataset.signature.labels
    if not isinstance(labels, LabelInfo) or not labels.numbers:
        found = labels.described if isinstance(labels, LabelInfo) else "another structure"
        raise UsageError(f"Only class numbers can be encoded as one-hot rows, and the labels are {found}.")
    if labels.maximum >= classes:
        raise UsageError(
            f"The labels go up to {labels.maximum:g}, and the outputs are for the classes 0 to {classes - 1}."
        )
    return Dataset(
        _encoded(dataset.train, classes),
        None if dataset.validation is None else _encoded(dataset.validation, classes),
    )


def needs_one_hot(labels: Any, outputs: Any) -> bool:
    """Whether class numbers stand against one output for each class.

    An element-by-element loss would broadcast them against each other and still return a number.
    """
    if not isinstance(labels, LabelInfo) or not isinstance(outputs, TensorInfo):
        return False
    units = outputs.shape[-1] if len(outputs.shape) > 1 else 1
    without_column = labels.shape[:-1] if len(labels.shape) > 1 and labels.shape[-1] == 1 else labels.shape
    return (
        labels.numbers and units is not None and units > 1 and len(without_column) == len(outputs.shape) - 1
    )


def class_weighted(dataset: Dataset, weights: Mapping[int, float]) -> Dataset:
    """The data with the weight of its class for each training row; 1 for classes without one.

    One-hot rows and columns are class numbers too, as they are for `fit(class_weight=...)`.

    Raises:
        UsageError: The rows are weighted already, or the labels are not one tensor of classes.
    """
    labels = dataset.signature.labels
    if dataset.train.has_weights:
        raise UsageError("class_weight cannot be given beside sample weights: multiply them into those.")
    if not isinstance(labels, LabelInfo):
        raise UsageError("class_weight is for one label tensor, and the data has none or several.")
    rows = len(labels.shape) > 1 and labels.shape[-1] != 1
    if len(labels.shape) > 2 or (labels.known and not (labels.one_hot if rows else labels.integral)):
        raise UsageError(f"class_weight needs class numbers or one-hot rows: labels are {labels.described}.")
    if labels.minimum < 0:
        raise UsageError(
            f"class_weight needs class numbers from 0, and the labels begin at {labels.minimum:g}."
        )
    table = np.ones(max(weights, default=-1) + 2, np.float32)
    for number, weight in weights.items():
        table[number] = weight
    if isinstance(dataset.train, Stream):
        return Dataset(dataset.train.weighted(table), dataset.validation)
    x, y = dataset.train.x, dataset.train.y
    numbers = y.argmax(axis=-1) if rows else y.reshape(len(y)).astype(np.int64)
    return Dataset(Arrays(x, y, table[np.minimum(numbers, len(table) - 1)]), dataset.validation)


def _encoded(arrays: Arrays | Stream, classes: int) -> Arrays | Stream:
    if isinstance(arrays, Stream):
        return arrays.encoded(classes)
    numbers = np.asarray(arrays.y).astype(np.int64)
    if numbers.ndim > 1 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    size = numbers.size * classes * np.dtype(np.float32).itemsize
    if size > memory():
        raise UsageError(
            f"One-hot rows of {classes} classes for {numbers.size} labels do not fit in memory: use a sparse"
            " loss, or fewer classes."
        )
    rows = np.zeros((*numbers.shape, classes), np.float32)
    np.put_along_axis(rows, numbers[..., None], 1.0, axis=-1)
    return Arrays(arrays.x, rows, arrays.sample_weight)
