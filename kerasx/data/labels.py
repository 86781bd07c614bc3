"""Label encoding: class numbers become one-hot rows where a loss compares element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerasx.data.arrays import Arrays, Dataset
from kerasx.data.signature import LabelInfo, TensorInfo
from kerasx.errors import UsageError


def one_hot(dataset: Dataset, classes: int) -> Dataset:
    """The data with its class numbers `[rows]` or `[rows, 1]` as float32 rows `[rows, classes]`.

    Raises:
        UsageError: The labels are not one tensor of class numbers below `classes`.
    """
    labels = dataset.signature.labels
    if not isinstance(labels, LabelInfo) or labels.classes is None or labels.one_hot:
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
        labels.classes is not None
        and not labels.one_hot
        and units is not None
        and units > 1
        and len(without_column) == len(outputs.shape) - 1
    )


def _encoded(arrays: Arrays, classes: int) -> Arrays:
    numbers = np.asarray(arrays.y).astype(np.int64)
    if numbers.ndim > 1 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    return Arrays(arrays.x, np.eye(classes, dtype=np.float32)[numbers], arrays.sample_weight)
