"""The data of an experiment as arrays, checked once on arrival."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras import tree

from kerasx.data.signature import Signature, joined, label_info, tensor_info
from kerasx.errors import UsageError

_NPZ_KEYS = ("x_train", "y_train", "x_test", "y_test", "sample_weight_train", "sample_weight_test")


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


@dataclass(frozen=True)
class Dataset:
    """What an experiment trains on and what it is validated on.

    Attributes:
        train: Rows to train on.
        validation: Rows to validate on after each epoch; None for none.
    """

    train: Arrays
    validation: Arrays | None = None

    @cached_property
    def signature(self) -> Signature:
        """Shapes, dtypes and label values; the labels' values are those of all rows."""
        labels = _map(label_info, self.train.y)
        if labels is not None and self.validation is not None and self.validation.y is not None:
            labels = tree.map_structure(joined, labels, _map(label_info, self.validation.y))
        return Signature(
            inputs=_map(tensor_info, self.train.x),
            labels=labels,
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the structure, dtypes, shapes and bytes of all arrays, in order."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation):
            if part is None:
                continue
            digest.update(repr(_map(lambda leaf: f"{leaf.dtype.str}{leaf.shape}", part.data)).encode())
            for leaf in tree.flatten(part.data):
                digest.update(np.ascontiguousarray(leaf).data)
        return digest.hexdigest()


def as_dataset(value: object, source: str) -> Dataset:
    """Take what a user, a function or a file hands over as data.

    Args:
        value: A `Dataset`; a mapping with the keys `x_train`, `y_train` and perhaps `x_test`, `y_test`,
            `sample_weight_train`, `sample_weight_test`; `(x, y)` or `(x, y, sample_weight)`; or
            `((x, y), (x_test, y_test))` as `keras.datasets` returns.
        source: Where it came from, for messages.

    Raises:
        UsageError: It has another form, or its arrays do not fit each other.
    """
    if isinstance(value, Dataset):
        dataset = value
    elif isinstance(value, Mapping):
        dataset = _from_mapping(value, source)
    elif isinstance(value, tuple | list) and len(value) == 2 and all(_is_row_tuple(each) for each in value):
        dataset = Dataset(_arrays(value[0], source), _arrays(value[1], source))
    elif isinstance(value, tuple | list) and 1 <= len(value) <= 3:
        dataset = Dataset(_arrays(value, source))
    else:
        raise UsageError(
            f"{source} is {type(value).__name__}, which is no data. Return a mapping with x_train, y_train,"
            " x_test and y_test, or ((x, y), (x_test, y_test))."
        )
    train = _checked(dataset.train, source, "training")
    if dataset.validation is None:
        return Dataset(train)
    validation = _checked(dataset.validation, source, "validation")
    for part, ours, theirs in (("inputs", train.x, validation.x), ("labels", train.y, validation.y)):
        if (ours is None) != (theirs is None):
            raise UsageError(f"{source}: only one of the training and the validation rows has {part}.")
        if theirs is not None and _ranks(ours) != _ranks(theirs):
            raise UsageError(
                f"{source}: the {part} of the validation rows have another structure or rank than those"
                f" of the training rows: {_shapes(theirs)} and {_shapes(ours)}."
            )
    return Dataset(train, validation)


def _ranks(structure: Any) -> Any:
    return repr(_map(np.ndim, structure))


def _shapes(structure: Any) -> str:
    return str(_map(lambda leaf: str(leaf.shape), structure))


def _from_mapping(value: Mapping[Any, Any], source: str) -> Dataset:
    unknown = [str(key) for key in value if key not in _NPZ_KEYS]
    missing = [key for key in ("x_train", "y_train") if key not in value]
    if missing or unknown:
        problem = (
            f"has no `{missing[0]}`" if missing else f"has an array `{unknown[0]}` that means nothing here"
        )
        raise UsageError(
            f"{source} {problem}. It has: {', '.join(map(str, value)) or 'nothing'}. Needed are x_train and"
            " y_train; x_test, y_test, sample_weight_train and sample_weight_test may follow."
        )
    if ("x_test" in value) != ("y_test" in value):
        raise UsageError(f"{source} has only one of x_test and y_test: give both or neither.")
    if "sample_weight_test" in value and "x_test" not in value:
        raise UsageError(f"{source} has sample_weight_test, and no x_test that it could weigh.")
    train = Arrays(value["x_train"], value["y_train"], value.get("sample_weight_train"))
    if "x_test" not in value:
        return Dataset(train)
    return Dataset(train, Arrays(value["x_test"], value["y_test"], value.get("sample_weight_test")))


def _is_row_tuple(value: object) -> bool:
    return isinstance(value, tuple | list) and 1 <= len(value) <= 3 and _is_part(value[0])


def _is_part(value: object) -> bool:
    leaves = tree.flatten(value)
    return bool(leaves) and hasattr(leaves[0], "shape")


def _arrays(value: Sequence[Any], source: str) -> Arrays:
    return Arrays(*value)


def _checked(arrays: Arrays, source: str, purpose: str) -> Arrays:
    def as_array(leaf: Any) -> Any:
        array = np.asarray(leaf)
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
    checked = Arrays(*(_map(as_array, part) for part in (arrays.x, arrays.y, arrays.sample_weight)))
    weights = checked.sample_weight
    if (
        isinstance(weights, np.ndarray)
        and isinstance(checked.y, np.ndarray)
        and weights.ndim > checked.y.ndim
    ):
        raise UsageError(
            f"{source}: the {purpose} weights have the shape {weights.shape}: one for each row is needed."
        )
    leaves = [leaf for leaf in tree.flatten(checked.data) if leaf is not None]
    lengths = sorted({len(leaf) for leaf in leaves})
    if not lengths or lengths[0] == 0:
        raise UsageError(f"{source}: there are no {purpose} rows.")
    if len(lengths) > 1:
        raise UsageError(
            f"{source}: the {purpose} arrays have different numbers of rows:"
            f" {', '.join(str(leaf.shape) for leaf in leaves)}."
        )
    return checked


def _is_known(dtype: np.dtype[Any]) -> bool:
    try:
        keras.utils.standardize_dtype(dtype.name)
    except ValueError:
        return False
    return True


def _map(function: Any, structure: Any) -> Any:
    """Map over the arrays of a structure; None stays None."""
    return tree.map_structure(lambda leaf: None if leaf is None else function(leaf), structure)
