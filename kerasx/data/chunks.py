"""Batches in chunks: what one compiled call goes through, batch after batch, without coming back."""

from __future__ import annotations

import math
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from keras import tree

from kerasx.data.arrays import Arrays
from kerasx.data.batches import Batches
from kerasx.data.codes import as_codes
from kerasx.data.memory import memory
from kerasx.errors import UsageError

# Arrays up to this share of the machine's memory are kept as tensors; larger ones are streamed.
RESIDENT_SHARE = 0.25
# Bytes of the chunks that are in memory at a time: one trained on, one waiting, one being put together.
BUFFER = 64 * 2**20

# Capacity at the least: of a single batch XLA would gather the rows before the loop, in another layout, and
# multiply them to other bits.
_LEAST = 2

# Row numbers are int32: of int64 XLA makes other loops, which may round a mean otherwise than `fit` does.
_MOST_ROWS = np.iinfo(np.int32).max

# For each tensor of a batch all rows `[rows, ...]`; or codes of them, and the values of the 256 codes or the
# factor that makes them values.
Table: TypeAlias = tuple[tuple[tf.Tensor, ...], ...]


@dataclass(frozen=True)
class Chunk:
    """Consecutive batches of one shape.

    Attributes:
        first: The number of its first batch in the epoch, counted from 0.
        steps: How many batches it has.
        table: Where their rows are.
        numbers: Which rows of the table each batch has, int32 of shape `[capacity, batch]`: once for all
            tensors of a batch, or for each of them, as those of a pipeline may differ in their first axis.
            The capacity is the same for chunks of full batches, which XLA compiles once; what is after
            `steps` is not to be used.
    """

    first: int
    steps: int
    table: Table
    numbers: tuple[tf.Tensor, ...]


class Chunks:
    """The batches of an epoch, in chunks.

    Arrays that fit in memory are kept as one table, of which chunks only name rows. Larger arrays and
    pipelines have a table for each chunk, which is made while the one before is trained on.

    Args:
        batches: Epoch by epoch.
        steps_per_call: No chunk goes over a multiple of so many steps.
    """

    def __init__(self, batches: Batches, steps_per_call: int) -> None:
        self._batches = batches
        self._per_call = steps_per_call
        self._table = _resident(batches.rows)
        capacity = steps_per_call if batches.steps is None else min(steps_per_call, batches.steps)
        if isinstance(batches.rows, Arrays):
            # A last batch that is short is a chunk of its own.
            capacity = min(capacity, batches.rows.rows // batches.batch_size)
        self._capacity = max(_LEAST, capacity)
        # A pipeline that does not fix the size of its batches shows it in the first one.
        self._is_bounded = self._table is not None
        if (size := _batch_size(batches)) is not None:
            self._bound(size * _row_bytes(batches.signature))

    def _bound(self, batch_bytes: int) -> None:
        """Hold no more batches in a table of a chunk than the buffer has room for."""
        if not self._is_bounded:
            self._capacity = max(_LEAST, min(self._capacity, BUFFER // (3 * max(1, batch_bytes))))
            self._is_bounded = True

    @property
    def table_signature(self) -> Any:
        """The `tf.TensorSpec` structure of a table."""
        if self._table is not None:
            return tree.map_structure(_spec, self._table)
        specs = tf.nest.flatten(self._batches.signature)
        return tuple((tf.TensorSpec([None, *spec.shape[1:]], spec.dtype),) for spec in specs)

    @property
    def numbers_signature(self) -> Any:
        """The `tf.TensorSpec` structure of the numbers of rows."""
        is_pipeline = not isinstance(self._batches.rows, Arrays)
        count = len(tf.nest.flatten(self._batches.signature)) if is_pipeline else 1
        return (tf.TensorSpec([None, None], tf.int32),) * count

    def samples(self) -> Iterator[Chunk]:
        """For each shape of chunks that is known beforehand, one of no steps.

        None for a pipeline that leaves an axis open.
        """
        rows, size = self._batches.rows, _batch_size(self._batches)
        specs = tf.nest.flatten(self._batches.signature)
        if size is None or any(None in spec.shape[1:] for spec in specs):
            return
        sizes = {(self._capacity, size)}
        if isinstance(rows, Arrays):
            full, rest = divmod(rows.rows, size)
            sizes = sizes if full else set()
            if rest and (self._batches.steps or 0) > full:
                sizes.add((_LEAST, rest))
        for capacity, batch in sorted(sizes, reverse=True):
            table = self._table or tuple(
                (tf.zeros([capacity * batch, *spec.shape[1:]], spec.dtype),) for spec in specs
            )
            yield Chunk(0, 0, table, (tf.zeros([capacity, batch], tf.int32),) * len(self.numbers_signature))

    def epoch(self, epoch: int, start: int = 0) -> Generator[Chunk]:
        """The chunks of one epoch, to be closed where not all of them are asked for.

        Args:
            epoch: Counted from 0.
            start: How many batches to leave out.

        Raises:
            UsageError: There is none, which a pipeline may not know before.
        """
        if self._table is not None:
            return self._of_arrays(epoch, start)
        no_more = threading.Event()
        if isinstance(self._batches.rows, Arrays):
            return _ahead(self._of_arrays(epoch, start), no_more)
        return _ahead(self._of_pipeline(epoch, start, no_more), no_more)

    def _of_arrays(self, epoch: int, start: int) -> Generator[Chunk]:
        order, size = self._batches.row_numbers(epoch), self._batches.batch_size
        full = len(order) // size
        first = start
        while first < full:
            # Up to the next call, and no further than there are full batches.
            steps = min(self._capacity, self._per_call - first % self._per_call, full - first)
            numbers = np.zeros((self._capacity, size), np.int32)
            numbers[:steps] = order[first * size : (first + steps) * size].reshape(steps, size)
            yield self._chunk(first, steps, numbers)
            first += steps
        if start <= full and len(rest := order[full * size :]):
            yield self._chunk(full, 1, np.stack([rest] * _LEAST).astype(np.int32))

    def _chunk(self, first: int, steps: int, numbers: Any) -> Chunk:
        if self._table is not None:
            return Chunk(first, steps, self._table, (tf.constant(numbers),))
        rows: Any = self._batches.rows
        leaves = tf.nest.flatten(tree.lists_to_tuples(rows.data))
        table = tuple((tf.convert_to_tensor(leaf[numbers.reshape(-1)]),) for leaf in leaves)
        return Chunk(first, steps, table, (_in_order(*numbers.shape),))

    def _of_pipeline(self, epoch: int, start: int, no_more: threading.Event) -> Generator[Chunk]:
        taken: list[list[tf.Tensor]] = []
        usual: list[tf.TensorShape] | None = None
        count = 0
        for batch in self._batches.epoch(epoch):
            if no_more.is_set():  # a slow pipeline is not waited for
                return
            leaves = tf.nest.flatten(batch)
            shapes = [leaf.shape for leaf in leaves]
            if usual is None:
                usual = shapes
                self._bound(sum(leaf.dtype.size * math.prod(leaf.shape) for leaf in leaves))
            if count < start:
                count += 1
                continue
            is_usual = shapes == usual
            if taken and (not is_usual or len(taken) == self._capacity or count % self._per_call == 0):
                yield _put_together(count, taken, self._capacity)
                taken = []
            count += 1
            taken.append(leaves)
            if not is_usual:
                yield _put_together(count, taken, _LEAST)
                taken = []
        if taken:
            yield _put_together(count, taken, self._capacity)
        if not count:
            raise UsageError("The pipeline handed out no batch.")
        self._batches.end_epoch(count)


def _put_together(count: int, taken: list[list[tf.Tensor]], capacity: int) -> Chunk:
    """The last batches of `count`, filled up with zeros to the capacity."""
    steps = len(taken)
    table, numbers = [], []
    for leaves in zip(*taken, strict=True):
        size = int(leaves[0].shape[0])
        missing = tf.zeros([(capacity - steps) * size, *leaves[0].shape[1:]], leaves[0].dtype)
        table.append((tf.concat([*leaves, missing], axis=0),))
        numbers.append(_in_order(capacity, size))
    return Chunk(count - steps, steps, tuple(table), tuple(numbers))


def _in_order(capacity: int, size: int) -> tf.Tensor:
    return tf.reshape(tf.range(capacity * size, dtype=tf.int32), [capacity, size])


def _ahead(chunks: Generator[Chunk], no_more: threading.Event) -> Generator[Chunk]:
    """The chunks, each made while the one before is used; `no_more` is set when none will be asked for."""
    with ThreadPoolExecutor(1) as pool:
        try:
            waiting = pool.submit(next, chunks, None)
            while (chunk := waiting.result()) is not None:
                waiting = pool.submit(next, chunks, None)
                yield chunk
        finally:
            no_more.set()


def _resident(rows: Any) -> Table | None:
    """Arrays as one table; None for a pipeline and for what is too large."""
    if not isinstance(rows, Arrays) or rows.rows > _MOST_ROWS:
        return None
    leaves = tf.nest.flatten(tree.lists_to_tuples(rows.data))
    if sum(leaf.nbytes for leaf in leaves) > RESIDENT_SHARE * memory():
        return None
    return tuple(_as_part(leaf) for leaf in leaves)


def _as_part(array: Any) -> tuple[tf.Tensor, ...]:
    coded = as_codes(array)
    if coded is None:
        return (tf.convert_to_tensor(array),)
    meaning = coded.values if coded.scale is None else np.float64(coded.scale)
    # Nobody else has the codes, so that they need not be copied.
    codes = tf.experimental.dlpack.from_dlpack(coded.codes.__dlpack__())
    return (codes, tf.convert_to_tensor(meaning))


def _spec(tensor: tf.Tensor) -> tf.TensorSpec:
    return tf.TensorSpec([None, *tensor.shape[1:]] if tensor.shape.rank else [], tensor.dtype)


def batch_of(table: Table, numbers: tuple[tf.Tensor, ...], step: tf.Tensor, signature: Any) -> Any:
    """A batch from a table.

    Args:
        table: Of a chunk.
        numbers: Of the chunk's rows.
        step: Which of its batches, an int32 scalar.
        signature: Structure of the batch's `tf.TensorSpec`.
    """
    specs = tf.nest.flatten(signature)
    rows = [each[step] for each in numbers] if len(numbers) > 1 else [numbers[0][step]] * len(specs)
    leaves = [_gathered(part, row, spec.dtype) for part, row, spec in zip(table, rows, specs, strict=True)]
    return tf.nest.pack_sequence_as(signature, leaves)


def _gathered(part: tuple[tf.Tensor, ...], numbers: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    found = tf.gather(part[0], numbers)
    if len(part) == 1:
        return found
    if part[1].shape.rank == 0:
        return tf.cast(tf.cast(found, tf.float64) * part[1], dtype)
    return tf.gather(part[1], tf.cast(found, tf.int32))


def _batch_size(batches: Batches) -> int | None:
    """The rows of a full batch; None where a pipeline does not tell."""
    if isinstance(batches.rows, Arrays):
        return batches.batch_size
    sizes = {spec.shape[0] for spec in tf.nest.flatten(batches.signature)}
    size: int | None = sizes.pop() if len(sizes) == 1 else None
    return size


def _row_bytes(signature: Any) -> int:
    """How many bytes a row has; an axis of unknown length counts once."""
    specs = tf.nest.flatten(signature)
    return int(sum(spec.dtype.size * math.prod(n or 1 for n in spec.shape[1:]) for spec in specs))
