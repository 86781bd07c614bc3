"""Batches for a loop that goes over them by itself: each that is asked for begins a step."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kerasx.data.batches import Batches
from kerasx.parity.records import StepTrace
from kerasx.parity.watch import Watch

_IN_A_GRAPH = "the loop goes over its batches in a graph"
_ONCE_MORE = "the loop goes over its batches more than once"
# What may be asked of a data set that is none the less gone through batch by batch.
_LOOKED_AT = ("cardinality", "element_spec", "options")


class WatchedBatches(Batches):
    """Batches that tell of the steps of a loop.

    Args:
        batches: Those of an epoch.
        watch: Told of the steps.
    """

    def __init__(self, batches: Batches, watch: Watch) -> None:
        super().__init__(batches.rows, batches.batch_size)
        self._batches = batches
        self.steps = batches.steps
        self._watch = watch
        self._pass: _Pass | None = None

    def epoch(self, epoch: int, start: int = 0) -> Any:
        """One epoch, to be gone through once and in order.

        A data set of TensorFlow's, as AutoGraph makes a loop in the graph only of what is one.
        """
        self._pass = _Pass(self._watch)
        return _watched(self._batches.epoch(epoch, start), self._pass)

    def end_epoch(self, steps: int | None = None) -> None:
        """As of the batches; the step of a batch after which a loop broke off ends."""
        if self._pass is not None:
            self._pass.end()
        self._batches.end_epoch(steps)


class _Pass:
    """How far a loop has got in the batches of one epoch."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._number = 0
        self._has_begun = False
        self._step: StepTrace | None = None
        self._before: Any = None
        self._batch: Any = None

    def begin(self) -> None:
        """The loop begins to go over them."""
        if self._has_begun:
            self.watch.slipped = _ONCE_MORE
        self._has_begun = True

    def is_followed(self) -> bool:
        """Whether batches are told of one by one: not to a graph, which is made once for all of them."""
        if not tf.executing_eagerly():
            self.watch.slipped = _IN_A_GRAPH
        return self.watch.slipped is None

    def handed(self, batch: Any) -> Any:
        """A batch is handed out; returns it."""
        if self.is_followed():
            self._before, self._batch = self._batch, batch
            self._step = self.watch.begin(self._number)
            self._number += 1
        return batch

    def end(self) -> None:
        """What the loop did with the batch that it was handed last is done."""
        if self.watch.is_in(self._step):
            self.watch.check_batch(self._batch, self._before)
            self.watch.end()
        self._step = None

    def over(self) -> None:
        """There are no more of them."""
        if self.is_followed():
            self.watch.expects_no_training()


def _watched(dataset: tf.data.Dataset, told: _Pass) -> tf.data.Dataset:
    """The same data set, of a class of its own: it stays one for whoever asks, AutoGraph among them."""
    # The batches' own data set is not changed: with no options set it is the same again.
    same = dataset.with_options(tf.data.Options())
    kind: Any = type(same)

    class Watched(kind):
        def __getattribute__(self, name: str) -> Any:
            if not name.startswith("__") and not tf.executing_eagerly():
                told.watch.slipped = _IN_A_GRAPH
            elif not name.startswith("_") and name not in _LOOKED_AT:
                told.watch.slipped = f"the loop makes another pipeline of its batches (`{name}`)"
            return super().__getattribute__(name)

        def __iter__(self) -> Any:
            told.begin()
            iterator = super().__iter__()
            return _watched_iterator(iterator, told) if told.is_followed() else iterator

        def __tf_tracing_type__(self, context: Any) -> Any:
            # Within the function there will be another data set, made after this one.
            told.watch.slipped = _IN_A_GRAPH
            return tf.type_spec_from_value(self)

    Watched.__name__ = Watched.__qualname__ = kind.__name__
    same.__class__ = Watched
    return same


def _watched_iterator(iterator: tf.data.Iterator, told: _Pass) -> tf.data.Iterator:
    """The iterator, of a class of its own."""
    kind: Any = type(iterator)

    class Watched(kind):
        def __next__(self) -> Any:
            told.end()
            try:
                batch = super().__next__()
            except StopIteration:
                told.over()
                raise
            return told.handed(batch)

        def get_next(self) -> Any:
            told.end()
            return told.handed(super().get_next())

        def get_next_as_optional(self) -> Any:
            told.watch.slipped = "the loop asks for batches that there may not be"
            return super().get_next_as_optional()

        def __tf_tracing_type__(self, context: Any) -> Any:
            told.watch.slipped = _IN_A_GRAPH
            return super().__tf_tracing_type__(context)

        def __del__(self) -> None:
            told.end()  # the loop broke off

    Watched.__name__ = Watched.__qualname__ = kind.__name__
    iterator.__class__ = Watched
    return iterator
