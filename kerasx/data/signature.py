"""Shapes, dtypes and label values: what model builders, losses and metrics are chosen by."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TensorInfo:
    """Shape and dtype of one tensor; the first axis is the batch and is None.

    Attributes:
        shape: Such as `(None, 28, 28)`.
        dtype: Its name, such as `float32`.
    """

    shape: tuple[int | None, ...]
    dtype: str

    @property
    def described(self) -> str:
        """The shape and dtype as messages show them: `[batch, 10] float32`."""
        axes = ["batch", *("?" if size is None else str(size) for size in self.shape[1:])]
        return f"[{', '.join(axes)}] {self.dtype}"


@dataclass(frozen=True)
class LabelInfo(TensorInfo):
    """Shape, dtype and values of one label tensor.

    Attributes:
        minimum: Smallest value; NaN where the values are not known.
        maximum: Largest value; NaN where the values are not known.
        integral: Whether all values are whole numbers.
        one_hot: Whether the last axis, longer than one, holds a single 1 and else 0.
    """

    minimum: float
    maximum: float
    integral: bool
    one_hot: bool

    @property
    def known(self) -> bool:
        """Whether the values were seen: those of a pipeline are not before it runs."""
        return not math.isnan(self.minimum)

    @property
    def numbers(self) -> bool:
        """Whether each label can be the number of a class: a whole number, one for each row."""
        is_column = len(self.shape) == 1 or self.shape[-1] == 1
        whole = self.integral and self.dtype.startswith(("int", "uint"))
        return whole and is_column and not self.one_hot and not self.minimum < 0

    @property
    def classes(self) -> int | None:
        """How many classes the labels speak of; None where they are not classes, or not known."""
        if self.one_hot:
            return self.shape[-1]
        return int(self.maximum) + 1 if self.numbers and self.known else None


@dataclass(frozen=True)
class Signature:
    """What goes in and what comes out.

    Attributes:
        inputs: A `TensorInfo`, or a list, tuple or dictionary of them as the data has it.
        labels: A `LabelInfo` or a structure of them; None where the data has no labels.
        outputs: A `TensorInfo` or a structure of them; None before the model is built.
    """

    inputs: Any
    labels: Any = None
    outputs: Any = None


def tensor_info(array: Any) -> TensorInfo:
    """Shape and dtype of an array or symbolic tensor whose first axis is the batch."""
    dtype = array.dtype if isinstance(array.dtype, str) else getattr(array.dtype, "name", str(array.dtype))
    if getattr(array.dtype, "kind", None) in ("U", "S"):
        dtype = "string"  # NumPy's name tells the length of the longest text
    return TensorInfo((None, *array.shape[1:]), dtype)


def label_info(array: np.ndarray[Any, Any]) -> LabelInfo:
    """Shape, dtype and values of a label array `[rows, ...]`."""
    info = tensor_info(array)
    is_real = np.issubdtype(array.dtype, np.number) and not np.issubdtype(array.dtype, np.complexfloating)
    if not array.size or not (is_real or array.dtype == np.bool_):
        return LabelInfo(info.shape, info.dtype, float("nan"), float("nan"), False, False)
    minimum, maximum = float(array.min()), float(array.max())
    integral = bool(np.issubdtype(array.dtype, np.integer) or array.dtype == np.bool_)
    if not integral and np.isfinite([minimum, maximum]).all():
        integral = bool((array == np.floor(array)).all())
    one_hot = False
    if integral and array.ndim > 1 and array.shape[-1] > 1 and minimum >= 0 and maximum <= 1:
        one_hot = bool((array.sum(axis=-1) == 1).all())
    return LabelInfo(info.shape, info.dtype, minimum, maximum, integral, one_hot)


def joined(labels: LabelInfo, others: LabelInfo) -> LabelInfo:
    """What holds for two label arrays together; shape and dtype are those of the first.

    What a pipeline does not tell is left aside.
    """
    if not (labels.known and others.known):
        return labels
    return replace(
        labels,
        minimum=min(labels.minimum, others.minimum),
        maximum=max(labels.maximum, others.maximum),
        integral=labels.integral and others.integral,
        one_hot=labels.one_hot and others.one_hot,
    )
