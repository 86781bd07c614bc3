"""Rows as arrays, checked once on arrival."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import tree

from kerasx.data.signature import label_info, tensor_info
from kerasx.errors import UsageError, one_line


@dataclass(frozen=True)
class Arrays:
    """Rows to train or evaluate on.

    Attributes:
        x: An array `[rows, ...]`, or a list, tuple or dictionary of arrays.
        y: Labels in the same manner; None where there are none.
        sample_weight: Weights `[rows]`; None where every row counts the same.
    """

    x: Any
    y: Any = None
    sample_weight: Any = None

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(tree.flatten(self.x)[0])

    @property
    def data(self) -> tuple[Any, ...]:
        """`(x,)`, `(x, y)` or `(x, y, sample_weight)`, as Keras passes a batch to a step."""
        if self.sample_weight is not None:
            return (self.x, self.y, self.sample_weight)
        return (self.x,) if self.y is None else (self.x, self.y)

    @property
    def inputs(self) -> Any:
        """A `TensorInfo` or a structure of them."""
        return map_arrays(tensor_info, self.x)

    @property
    def labels(self) -> Any:
        """A `LabelInfo` or a structure of them; None where there are no labels."""
        return map_arrays(label_info, self.y)

    @property
    def has_weights(self) -> bool:
        """Whether rows are weighted."""
        return self.sample_weight is not None


def map_arrays(function: Any, structure: Any) -> Any:
    """Map over the arrays of a structure; None stays None."""
    return tree.map_structure(lambda leaf: None if leaf is None else function(leaf), structure)


def checked(arrays: Arrays, source: str, purpose: str) -> Arrays:
    """The rows as NumPy arrays of known dtypes and one length.

    Args:
        arrays: As somebody handed them over.
        source: Where they came from, for messages.
        purpose: `training` or `validation`, for messages.

    Raises:
        UsageError: They do not fit each other, or Keras does not know their dtype.
    """

    def as_array(leaf: Any) -> Any:
        try:
            array = np.asarray(leaf)
        except Exception as error:  # whatever somebody's object raises
            raise UsageError(
                f"{source}: a {purpose} array, {type(leaf).__name__}, cannot be read: {one_line(error)}"
            ) from error
        if array.dtype.hasobject:
            raise UsageError(f"{source}: a {purpose} array holds Python objects. Give numbers or text.")
        if array.dtype.kind not in "US" and not _is_known(array.dtype):
            raise UsageError(
                f"{source}: a {purpose} array has the dtype {array.dtype}, which Keras does not know."
                " Convert it to numbers: array.astype('float32')."
            )
        if array.ndim == 0:
            raise UsageError(
                f"{source}: a {purpose} array is a single value. The first axis has to be the rows."
            )
        return array

    if arrays.y is None and arrays.sample_weight is not None:
        raise UsageError(f"{source}: the {purpose} rows have weights and no labels.")
    made = Arrays(*(map_arrays(as_array, part) for part in (arrays.x, arrays.y, arrays.sample_weight)))
    weights = made.sample_weight
    if isinstance(weights, np.ndarray) and isinstance(made.y, np.ndarray) and weights.ndim > made.y.ndim:
        raise UsageError(
            f"{source}: the {purpose} weights have the shape {weights.shape}: one for each row is needed."
        )
    leaves = [leaf for leaf in tree.flatten(made.data) if leaf is not None]
    lengths = sorted({len(leaf) for leaf in leaves})
    if not lengths or lengths[0] == 0:
        raise UsageError(f"{source}: there are no {purpose} rows.")
    if len(lengths) > 1:
        raise UsageError(
            f"{source}: the {purpose} arrays have different numbers of rows:"
            f" {', '.join(str(leaf.shape) for leaf in leaves)}."
        )
    return made


def _is_known(dtype: np.dtype[Any]) -> bool:
    try:
        keras.utils.standardize_dtype(dtype.name)
    except ValueError:
        return False
    return True
