"""Pipelines: batches that a `tf.data.Dataset` or a `PyDataset` of the user's hands out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import tree

from kerasx.data.signature import LabelInfo, TensorInfo
from kerasx.errors import UsageError
from kerasx.references import user_code_error

Change = Callable[..., tuple[Any, ...]]


@dataclass(frozen=True)
class Stream:
    """Rows that come in batches of their own, whose values nobody has seen beforehand.

    Attributes:
        source: What makes the batches.
        specs: `tf.TensorSpec` structures of `(x,)`, `(x, y)` or `(x, y, sample_weight)`, before the
            changes.
        steps: Batches an epoch; None where it is not known.
        changes: Functions of a batch's parts that are applied to each batch, in order.
        one_hot: Whether the labels were encoded as one-hot rows.
    """

    source: tf.data.Dataset | keras.utils.PyDataset
    specs: tuple[Any, ...]
    steps: int | None
    changes: tuple[Change, ...] = ()
    one_hot: bool = False

    @cached_property
    def changed_specs(self) -> tuple[Any, ...]:
        """The specs after the changes."""
        specs = self.specs
        for change in self.changes:
            specs = tf.function(change).get_concrete_function(*specs).structured_outputs
        return specs

    @property
    def inputs(self) -> Any:
        """A `TensorInfo` or a structure of them."""
        return tree.map_structure(lambda spec: TensorInfo(*_shape_and_dtype(spec)), self.changed_specs[0])

    @property
    def labels(self) -> Any:
        """A `LabelInfo` without values or a structure of them; None where there are no labels."""
        if len(self.changed_specs) < 2:
            return None
        if self.one_hot:
            return LabelInfo(*_shape_and_dtype(self.changed_specs[1]), 0.0, 1.0, True, True)
        return tree.map_structure(_label_info, self.changed_specs[1])

    @property
    def has_weights(self) -> bool:
        """Whether the batches bring sample weights."""
        return len(self.changed_specs) > 2

    def encoded(self, classes: int) -> Stream:
        """With class numbers `[batch]` or `[batch, 1]` as float32 rows `[batch, classes]`."""

        def change(x: Any, y: Any, *weights: Any) -> tuple[Any, ...]:
            numbers = tf.squeeze(y, axis=-1) if y.shape.rank > 1 else y
            return (x, tf.one_hot(tf.cast(numbers, tf.int64), classes), *weights)

        return replace(self, changes=(*self.changes, change), one_hot=True)

    def weighted(self, table: npt.NDArray[np.float32]) -> Stream:
        """With the weight of its class for each row; the last entry is that of all further classes."""

        def change(x: Any, y: Any) -> tuple[Any, ...]:
            numbers = y
            if y.shape.rank > 1:
                numbers = tf.argmax(y, axis=-1) if y.shape[-1] != 1 else tf.squeeze(y, axis=-1)
            if numbers.dtype.is_floating:
                numbers = tf.round(numbers)
            return (x, y, tf.gather(table, tf.minimum(tf.cast(numbers, tf.int64), len(table) - 1)))

        return replace(self, changes=(*self.changes, change))


def is_pipeline(value: object) -> bool:
    """Whether something hands out batches of its own."""
    return isinstance(value, Stream | tf.data.Dataset | keras.utils.PyDataset)


def as_stream(value: object, source: str) -> Stream | None:
    """A pipeline as a stream; None for anything else.

    Raises:
        UsageError: It never ends, is not batched, or its batches have another form.
    """
    if isinstance(value, Stream):
        return value
    if isinstance(value, tf.data.Dataset):
        return _from_dataset(value, source)
    if isinstance(value, keras.utils.PyDataset):
        return _from_sequence(value, source)
    return None


def as_batch(batch: Any, source: str) -> tuple[Any, ...]:
    """A batch as a pipeline hands it out, as `(x,)`, `(x, y)` or `(x, y, sample_weight)`.

    Raises:
        UsageError: It has more parts.
    """
    parts = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
    while len(parts) > 1 and parts[-1] is None:
        parts = parts[:-1]
    if not 1 <= len(parts) <= 3:
        raise UsageError(
            f"{source}: a batch has {len(parts)} parts. It may be x, (x, y) or (x, y, sample_weight);"
            " several inputs are a tuple or a dictionary in the place of x."
        )
    return tuple(tree.lists_to_tuples(part) for part in parts)


def _from_dataset(dataset: tf.data.Dataset, source: str) -> Stream:
    steps = int(dataset.cardinality())
    if steps == tf.data.INFINITE_CARDINALITY:
        raise UsageError(f"{source} never ends: say how long an epoch is, with .take(batches).")
    specs = as_batch(dataset.element_spec, source)
    for spec in tree.flatten(specs):
        if spec.shape.rank is None:
            raise UsageError(
                f"{source}: the shape of its elements is not known: give it an output signature."
            )
        if spec.shape.rank == 0:
            raise UsageError(f"{source} hands out single rows: end it with .batch(32).")
    if steps == 0:
        raise UsageError(f"{source} is empty.")
    return Stream(dataset, specs, steps if steps > 0 else None)


def _from_sequence(sequence: keras.utils.PyDataset, source: str) -> Stream:
    try:
        steps = sequence.num_batches
    except NotImplementedError:
        steps = None
    if steps is None:
        raise UsageError(f"{source} does not tell where it ends: give it a length, with __len__.")
    if steps == 0:
        raise UsageError(f"{source} is empty.")
    # Two batches tell which axes differ from batch to batch: that is how many Keras looks at, too.
    try:
        seen = [sequence[number] for number in range(min(2, steps))]
    except Exception as error:
        raise user_code_error(f"reading {source[:1].lower()}{source[1:]}", error) from error
    first, *others = (tree.map_structure(np.asarray, as_batch(batch, source)) for batch in seen)

    def spec(leaf: Any, *same: Any) -> tf.TensorSpec:
        sizes = [{each.shape[axis] for each in (leaf, *same)} for axis in range(1, leaf.ndim)]
        return tf.TensorSpec([None, *(size.pop() if len(size) == 1 else None for size in sizes)], leaf.dtype)

    try:
        specs = tree.map_structure(spec, first, *others)
    except (ValueError, TypeError, IndexError) as error:
        raise UsageError(f"{source}: its batches have different structures or ranks: {error}") from error
    return Stream(sequence, specs, steps)


def _shape_and_dtype(spec: Any) -> tuple[tuple[int | None, ...], str]:
    return (None, *spec.shape.as_list()[1:]), spec.dtype.name


def _label_info(spec: Any) -> LabelInfo:
    shape, dtype = _shape_and_dtype(spec)
    whole = spec.dtype.is_integer or spec.dtype.is_bool
    return LabelInfo(shape, dtype, float("nan"), float("nan"), whole, False)
