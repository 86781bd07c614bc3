"""Reductions over replicas where there is one, without what they leave in memory."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import tensorflow as tf


@contextlib.contextmanager
def without_single_reductions() -> Iterator[None]:
    """Leave out the reduction of gradients over one replica, which changes nothing.

    Keras's optimizers ask for it in every training. TensorFlow registers a gradient of it, for good, which
    holds the whole graph of the step: some 30 MB of each training, `fit` or not, would stay.
    """
    # Of the context within `Strategy.run`, as in `fit`, and of that without any strategy.
    kind: Any = next(each for each in tf.distribute.ReplicaContext.__mro__ if "all_reduce" in vars(each))
    original = kind.all_reduce

    @functools.wraps(original)
    def all_reduce(context: Any, reduce_op: Any, value: Any, options: Any = None) -> Any:
        if context.num_replicas_in_sync == 1:
            # Refused as TensorFlow refuses it, where it is no such operation.
            tf.distribute.ReduceOp(reduce_op.upper() if isinstance(reduce_op, str) else reduce_op)
            return tf.nest.map_structure(tf.identity, value)
        return original(context, reduce_op, value, options)

    kind.all_reduce = all_reduce
    try:
        yield
    finally:
        kind.all_reduce = original
