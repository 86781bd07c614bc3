"""Prediction with many batches a call, as `fused` trains and evaluates."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasx.data.batches import Batches
from kerasx.data.chunks import Chunks, batch_of
from kerasx.startup import start_xla
from kerasx.training.execution import LEAST_STEPS, CannotExecute, Execution
from kerasx.training.traced import TracedStep, refusal


def run_prediction(model: keras.Model, batches: Batches, execution: Execution) -> Any:
    """The outputs of the model's `predict_step`, in the order of the rows.

    Args:
        model: Built.
        batches: Of arrays.
        execution: `fused`, with or without jit; otherwise Keras's `predict` is called.

    Returns:
        A NumPy array `[rows, ...]`, or a structure of them as the model returns it.
    """
    if execution.fused and type(model).predict is keras.Model.predict:
        try:
            if execution.jit:
                start_xla()
            return _fused(model, batches, execution.jit)
        except CannotExecute:
            if execution.jit:
                return run_prediction(model, batches, Execution("fused", jit=False))
    return model.predict(batches.dataset, verbose=0)


def _fused(model: keras.Model, batches: Batches, jit: bool) -> Any:
    step = TracedStep(lambda data: model.predict_step(data), batches.signature, jit)
    if any(not isinstance(spec, tf.TensorSpec) for spec in tf.nest.flatten(step.outputs)):
        raise CannotExecute("fused", "its outputs are no dense tensors")
    chunks = Chunks(batches, LEAST_STEPS)
    loop = _loop(step, batches.signature, chunks)
    parts = []
    try:
        for chunk in chunks.epoch(0):
            # Compiled for its capacity; without XLA it may have any size.
            capacity = None if step.loop_jit else chunk.steps
            outputs = loop(chunk.table, tuple(each[:capacity] for each in chunk.numbers), chunk.steps)
            parts.append([np.concatenate(output.numpy()[: chunk.steps]) for output in outputs])
    except tf.errors.OpError as error:
        if not jit:
            raise
        raise CannotExecute("jit", refusal(error)) from error
    return tf.nest.pack_sequence_as(step.outputs, [np.concatenate(each) for each in zip(*parts, strict=True)])


def _loop(step: TracedStep, signature: Any, chunks: Chunks) -> Any:
    """A function of a table, numbers of rows and steps; it returns tensors `[capacity, batch, ...]`."""
    dtypes = [spec.dtype for spec in tf.nest.flatten(step.outputs)]

    def fused_prediction(table: Any, numbers: Any, steps: Any) -> Any:
        def body(number: Any, arrays: Any) -> Any:
            outputs = tf.nest.flatten(step.function(batch_of(table, numbers, number, signature)))
            return number + 1, [array.write(number, out) for array, out in zip(arrays, outputs, strict=True)]

        arrays = [tf.TensorArray(dtype, size=tf.shape(numbers[0])[0]) for dtype in dtypes]
        _, arrays = tf.while_loop(lambda number, _: number < steps, body, (0, arrays), parallel_iterations=1)
        return [array.stack() for array in arrays]

    return tf.function(
        fused_prediction,
        input_signature=[
            chunks.table_signature,
            chunks.numbers_signature,
            tf.TensorSpec([], tf.int32),
        ],
        jit_compile=step.loop_jit or None,
        autograph=False,
    )
