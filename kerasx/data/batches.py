"""The tf.data view of the data: batches in the order of an epoch."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import tree

from kerasx.data.arrays import Arrays
from kerasx.data.order import batch_order
from kerasx.data.streams import Stream, as_batch

Order = Callable[[int], npt.NDArray[np.int64]]


class Batches:
    """Batches of one set of rows, epoch by epoch.

    The same object serves loops that ask for an epoch (`for batch in batches.epoch(3)`) and Keras's
    `fit`, which knows no epochs and iterates `dataset` again and again: there the order is that of
    `position`, read when an iterator is first asked for a batch.

    Args:
        rows: Arrays, or a pipeline with batches of its own.
        batch_size: Rows a batch of arrays; the last one has those that are left.
        order: Row numbers of an epoch for arrays, batch numbers for a `PyDataset`; None leaves them as
            they are. The order of a `tf.data.Dataset` is its own.
        limit: At most so many batches an epoch; None for all.

    Attributes:
        rows: As given.
        batch_size: As given; of a pipeline's batches it says nothing.
        position: The epoch that `dataset` yields next, counted from 0.
        steps: Batches an epoch; None where a pipeline does not tell.
    """

    def __init__(
        self,
        rows: Arrays | Stream,
        batch_size: int,
        order: Order | None = None,
        limit: int | None = None,
    ) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.position = 0
        self._expected: int | None = None
        self._order = order
        self._limit = limit
        steps = -(-rows.rows // batch_size) if isinstance(rows, Arrays) else rows.steps
        self.steps: int | None = steps if steps is None or limit is None else min(steps, limit)

    @cached_property
    def dataset(self) -> tf.data.Dataset:
        """`(x,)`, `(x, y)` or `(x, y, sample_weight)` of tensors; made when first asked for."""
        if isinstance(self.rows, Arrays):
            dataset = self._gathered(self.rows, self.batch_size)
        else:
            dataset = self._streamed(self.rows)
        if self._limit is not None:
            dataset = dataset.take(self._limit)
        if self.steps is not None:
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(self.steps))
        return dataset.prefetch(tf.data.AUTOTUNE)

    def __len__(self) -> int:
        """Batches an epoch.

        Raises:
            TypeError: A pipeline does not tell.
        """
        if self.steps is None:
            raise TypeError("this pipeline does not tell how many batches it has")
        return self.steps

    def __bool__(self) -> bool:
        # `validation or batches` is not to ask for a length.
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(self.dataset)

    def epoch(self, epoch: int, start: int = 0) -> tf.data.Dataset:
        """The batches of one epoch: `(x,)`, `(x, y)` or `(x, y, sample_weight)` of tensors.

        The batch axis is unknown in their signature, as it is in `fit`, unless a pipeline fixes it.

        Args:
            epoch: Counted from 0.
            start: How many of them to leave out.
        """
        self.position = epoch
        batches = self.dataset if self._expected is None else self.dataset.take(self._expected)
        return batches.skip(start) if start else batches

    def go_through(self, epochs: int) -> None:
        """Bring a pipeline to where it is after some epochs, as far as it can be without its batches."""
        if isinstance(self.rows, Arrays):
            return
        source, steps = self.rows.source, self.steps
        for epoch in range(epochs):
            if isinstance(source, keras.utils.PyDataset):
                source.on_epoch_begin()
                source.on_epoch_end()
                continue
            # Each iterator that is made draws the next order.
            batches = self.epoch(epoch)
            if steps is None:
                steps = sum(1 for _ in batches)
            else:
                iter(batches)
            self.end_epoch(steps)

    def end_epoch(self, steps: int | None = None) -> None:
        """Tell that an epoch was gone through, for loops that do without `fit`.

        Where an epoch was as long as expected, `fit` makes one more iterator at its end. A pipeline that
        shuffles draws its next order for each iterator that is made, used or not: so that all loops see
        one order, they have to make as many. Where a pipeline does not tell its length, `fit` expects of
        further epochs what the first one had, and one more: the batch at which it found out.

        Args:
            steps: How many batches there were; None for all.
        """
        if isinstance(self.rows, Arrays):
            return
        expected = self.steps if self.steps is not None else self._expected
        if expected is None:
            self._expected = None if steps is None else steps + 1
        elif steps is None or steps >= expected:
            iter(self.dataset)

    @property
    def signature(self) -> Any:
        """The `tf.TensorSpec` structure of a batch, whose first axis is unknown for arrays."""
        if isinstance(self.rows, Arrays):
            return tf.nest.map_structure(
                lambda leaf: tf.TensorSpec([None, *leaf.shape[1:]], tf.as_dtype(leaf.dtype)),
                tree.lists_to_tuples(self.rows.data),
            )
        return self.dataset.element_spec

    def limited(self, limit: int) -> Batches:
        """The same with at most so many batches an epoch."""
        return Batches(self.rows, self.batch_size, self._order, limit)

    def row_numbers(self, epoch: int) -> npt.NDArray[np.int64]:
        """The numbers of an epoch's rows in their order, int64 of shape `[rows]`; of arrays only."""
        self.position = epoch
        assert isinstance(self.rows, Arrays)
        limit = None if self._limit is None else self._limit * self.batch_size
        return self._numbers(self.rows.rows)[:limit]

    def _numbers(self, count: int) -> npt.NDArray[np.int64]:
        """Rows or batches in the order of the epoch."""
        return np.arange(count, dtype=np.int64) if self._order is None else self._order(self.position)

    def _all_numbers(self) -> npt.NDArray[np.int64]:
        assert isinstance(self.rows, Arrays)
        return self._numbers(self.rows.rows)

    def _gathered(self, arrays: Arrays, batch_size: int) -> tf.data.Dataset:
        # tf.data knows no lists: as Keras does, they become tuples.
        tensors = tf.nest.map_structure(tf.convert_to_tensor, tree.lists_to_tuples(arrays.data))

        def row_numbers(_: tf.Tensor) -> tf.data.Dataset:
            numbers = tf.numpy_function(_let_go(self._all_numbers), [], tf.int64)
            return tf.data.Dataset.from_tensor_slices(tf.ensure_shape(numbers, [None]))

        def gathered(numbers: tf.Tensor) -> Any:
            return tf.nest.map_structure(lambda tensor: tf.gather(tensor, numbers), tensors)

        # The order is computed in Python, once an epoch; the batches are formed in TensorFlow.
        numbers = _holding(tf.data.Dataset.from_tensors(0).flat_map(row_numbers), self)
        return numbers.batch(batch_size).map(gathered, num_parallel_calls=1)

    def _streamed(self, stream: Stream) -> tf.data.Dataset:
        if isinstance(stream.source, keras.utils.PyDataset):
            generated = tf.data.Dataset.from_generator(
                _let_go(self._of_sequence), output_signature=stream.specs
            )
            dataset = _holding(generated, self)
        else:
            dataset = stream.source
            if dataset.element_spec != stream.specs:
                dataset = dataset.map(lambda *parts: as_batch(parts, "the data"))
        for change in stream.changes:
            dataset = dataset.map(change)
        return dataset

    def _of_sequence(self) -> Iterator[Any]:
        """One epoch of a PyDataset, made by its number of workers, as threads."""
        assert isinstance(self.rows, Stream)
        sequence = self.rows.source
        sequence.on_epoch_begin()
        numbers = self._numbers(sequence.num_batches)[: self._limit].tolist()
        ahead = max(1, min(sequence.max_queue_size, len(numbers)))
        with ThreadPoolExecutor(max(1, sequence.workers)) as pool:
            waiting = [pool.submit(sequence.__getitem__, number) for number in numbers[:ahead]]
            for number in itertools.chain(numbers[ahead:], [None] * ahead):
                batch = waiting.pop(0).result()
                if number is not None:
                    waiting.append(pool.submit(sequence.__getitem__, number))
                yield as_batch(batch, "the data")
        sequence.on_epoch_end()


def _let_go(method: Callable[[], Any]) -> Callable[[], Any]:
    """What a method returns, without a hold on its object.

    TensorFlow holds Python functions that a `tf.data` pipeline calls as long as the process lives, and with
    them would hold all rows. The pipeline itself holds the object: see `_holding`.
    """
    held = weakref.WeakMethod(method)

    def function() -> Any:
        called = held()
        assert called is not None  # the pipeline holds it
        return called()

    return function


def _holding(dataset: tf.data.Dataset, batches: Batches) -> tf.data.Dataset:
    """The pipeline, which then holds what it asks for rows, as do those that are made of it."""
    dataset.of_batches = batches
    return dataset


def training_batches(rows: Arrays | Stream, batch_size: int, seed: int, *, shuffle: bool = True) -> Batches:
    """Batches in the order of (seed, epoch), or in that of the data."""
    count = rows.rows if isinstance(rows, Arrays) else rows.steps
    order = None if count is None or not shuffle else (lambda epoch: batch_order(seed, epoch, count))
    return Batches(rows, batch_size, order)


def validation_batches(rows: Arrays | Stream, batch_size: int) -> Batches:
    """Batches in the order of the rows."""
    return Batches(rows, batch_size)
