"""How a step is executed: eagerly or as one TensorFlow function call, with or without XLA."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from kerasx.training.distribution import is_distributed, on_each_replica
from kerasx.training.steps import Logs, Step


@dataclass(frozen=True)
class Execution:
    """The execution of a run, settled.

    Attributes:
        mode: `eager` or `graph`.
        jit: Whether XLA compiles the step.
    """

    mode: str
    jit: bool

    @property
    def eager(self) -> bool:
        """Whether steps run operation by operation."""
        return self.mode == "eager"


def bind_step(step: Step, model: keras.Model, execution: Execution, signature: Any) -> Callable[[Any], Logs]:
    """The step as a function of a batch alone, in the given execution.

    The function is traced once, with the signature of the batches, in which the batch axis is unknown:
    that is how `fit` traces its step, and some operations give other bits with a fixed size. As in
    `fit`, AutoGraph is not applied.

    Args:
        step: A function `(model, data)` that returns logs.
        model: Its first argument.
        execution: How to execute it.
        signature: Structure of `tf.TensorSpec` of a batch.
    """

    def bound(data: Any) -> Logs:
        return step(model, data)

    if is_distributed(model):
        replicated = on_each_replica(model, bound)
        # What a replica gets is no tensor, and has no signature to trace with.
        return (
            replicated if execution.eager else tf.function(replicated, autograph=False, reduce_retracing=True)
        )
    if execution.eager:
        return bound
    return tf.function(  # type: ignore[no-any-return]
        bound, input_signature=[signature], jit_compile=execution.jit, autograph=False
    )
