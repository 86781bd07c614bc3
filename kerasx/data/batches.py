"""The tf.data view of arrays: batches in the order of an epoch, gathered by row number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import tree

from kerasx.data.arrays import Arrays
from kerasx.data.order import batch_order

Order = Callable[[int], npt.NDArray[np.int64]]


class Batches:
    """Batches of one set of arrays, epoch by epoch.

    The same object serves loops that ask for an epoch (`for batch in batches.epoch(3)`) and Keras's
    `fit`, which knows no epochs and iterates `dataset` again and again: there the order is that of
    `position`, read when an iterator is first asked for a batch.

    Args:
        arrays: The rows.
        batch_size: Rows a batch; the last one has those that are left.
        order: Row numbers of an epoch; None leaves the rows as they are.
        limit: At most so many batches an epoch; None for all.

    Attributes:
        position: The epoch that `dataset` yields next, counted from 0.
        rows: Rows an epoch.
        batch_size: Rows a batch.
    """

    def __init__(
        self, arrays: Arrays, batch_size: int, order: Order | None = None, limit: int | None = None
    ) -> None:
        self.position = 0
        self.batch_size = batch_size
        self._order: Order = order or (lambda epoch: np.arange(arrays.rows, dtype=np.int64))
        self._limit = limit
        self.rows = arrays.rows if limit is None else min(arrays.rows, limit * batch_size)
        self.dataset: tf.data.Dataset = self._build(arrays)

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-self.rows // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.dataset)

    def epoch(self, epoch: int) -> tf.data.Dataset:
        """The batches of one epoch: `(x,)`, `(x, y)` or `(x, y, sample_weight)` of tensors.

        The batch axis is unknown in their signature, as it is in `fit`.
        """
        self.position = epoch
        return self.dataset

    @property
    def signature(self) -> Any:
        """The `tf.TensorSpec` structure of a batch."""
        return self.dataset.element_spec

    def _build(self, arrays: Arrays) -> tf.data.Dataset:
        # tf.data knows no lists: as Keras does, they become tuples.
        tensors = tf.nest.map_structure(tf.convert_to_tensor, tree.lists_to_tuples(arrays.data))

        def current_order() -> npt.NDArray[np.int64]:
            return self._order(self.position)[: self.rows]

        def row_numbers(_: tf.Tensor) -> tf.data.Dataset:
            numbers = tf.numpy_function(current_order, [], tf.int64)
            return tf.data.Dataset.from_tensor_slices(tf.ensure_shape(numbers, [None]))

        def gathered(numbers: tf.Tensor) -> Any:
            return tf.nest.map_structure(lambda tensor: tf.gather(tensor, numbers), tensors)

        # The order is computed in Python, once an epoch; the batches are formed in TensorFlow.
        return (
            tf.data.Dataset.from_tensors(0)
            .flat_map(row_numbers)
            .batch(self.batch_size)
            .map(gathered, num_parallel_calls=1)
            .apply(tf.data.experimental.assert_cardinality(len(self)))
            .prefetch(tf.data.AUTOTUNE)
        )


def training_batches(arrays: Arrays, batch_size: int, seed: int, limit: int | None = None) -> Batches:
    """Batches in the order of (seed, epoch)."""
    return Batches(arrays, batch_size, lambda epoch: batch_order(seed, epoch, arrays.rows), limit)


def validation_batches(arrays: Arrays, batch_size: int, limit: int | None = None) -> Batches:
    """Batches in the order of the rows."""
    return Batches(arrays, batch_size, limit=limit)
