"""How much arithmetic an epoch is, and how fast this machine multiplies."""

from __future__ import annotations

import time
from typing import Any

import tensorflow as tf

from kerasx.data.batches import Batches
from kerasx.training.steps import Step

_SIZE = 2048
_SECONDS = 1.5


def multiplication_rate() -> float:
    """Floating-point operations a second of large float32 products, the best that was seen."""
    matrix = tf.random.stateless_normal([_SIZE, _SIZE], seed=[0, 0])
    product = tf.function(tf.matmul, autograph=False)
    product(matrix, matrix)
    best, began = 0.0, time.perf_counter()
    while time.perf_counter() - began < _SECONDS:
        started = time.perf_counter()
        product(matrix, matrix).numpy()
        best = max(best, 2.0 * _SIZE**3 / (time.perf_counter() - started))
    return best


def epoch_operations(model: Any, step: Step, batches: Batches) -> float | None:
    """Floating-point operations of a step's operations, times the batches of an epoch.

    Counted by TensorFlow's profiler on the step's graph, which knows no loops: of a recurrent layer it sees
    one turn. None where that is not possible.
    """
    if batches.steps is None:
        return None
    size = batches.batch_size
    specs = tf.nest.map_structure(
        lambda spec: tf.TensorSpec([size, *spec.shape[1:]], spec.dtype), batches.signature
    )
    try:
        function = tf.function(lambda data: step(model, data), input_signature=[specs], autograph=False)
        graph = function.get_concrete_function().graph
        options = tf.compat.v1.profiler.ProfileOptionBuilder(
            tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
        )
        counted = tf.compat.v1.profiler.profile(graph, cmd="op", options=options.with_empty_output().build())
    except Exception:  # a step that cannot be traced is measured all the same
        return None
    return float(counted.total_float_ops) * batches.steps
