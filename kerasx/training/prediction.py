"""Prediction with many batches a call, as `fused` trains and evaluates."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasx.data.batches import Batches
from kerasx.data.chunks import Chunk, Chunks, batch_of
from kerasx.errors import one_line
from kerasx.training.binding import traced
from kerasx.training.execution import LEAST_STEPS, CannotExecute, Execution
from kerasx.training.fused import check_signature


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
            return _fused(model, batches, execution.jit)
        except CannotExecute:
            if execution.jit:
                return run_prediction(model, batches, Execution("fused", jit=False))
    return model.predict(batches.dataset, verbose=0)


def _fused(model: keras.Model, batches: Batches, jit: bool) -> Any:
    check_signature(batches.signature, jit=jit)
    chunks = Chunks(batches, LEAST_STEPS)
    loop, structure = _loop(model, batches.signature, chunks.table_signature, jit)
    try:
        parts = [_rows(chunk, loop(chunk.table, chunk.numbers)) for chunk in chunks.epoch(0)]
    except tf.errors.OpError as error:
        if not jit:
            raise
        raise CannotExecute("jit", one_line(error)) from error
    outputs = [np.concatenate(each) for each in zip(*parts, strict=True)]
    return tf.nest.pack_sequence_as(structure, outputs)


def _loop(model: keras.Model, signature: Any, table_signature: Any, jit: bool) -> tuple[Any, Any]:
    """A function of a table and numbers of rows, and the structure of what the model returns.

    It goes through all batches that a chunk has room for, and returns a tensor `[capacity, batch, ...]` for
    each output.
    """

    def predict_step(data: Any) -> Any:
        return model.predict_step(data)

    one_step = tf.function(
        predict_step, input_signature=[signature], jit_compile=jit or None, autograph=False
    )
    structure = traced(one_step).structured_outputs
    dtypes = [spec.dtype for spec in tf.nest.flatten(structure)]

    def fused_prediction(table: Any, numbers: Any) -> Any:
        capacity = tf.shape(numbers)[0]

        def body(number: Any, arrays: Any) -> Any:
            outputs = tf.nest.flatten(one_step(batch_of(table, numbers[number], signature)))
            return number + 1, [array.write(number, out) for array, out in zip(arrays, outputs, strict=True)]

        arrays = [tf.TensorArray(dtype, size=capacity) for dtype in dtypes]
        _, arrays = tf.while_loop(
            lambda number, _: number < capacity, body, (0, arrays), parallel_iterations=1
        )
        return [array.stack() for array in arrays]

    rows = tf.TensorSpec([None, None], tf.int64)
    return (
        tf.function(
            fused_prediction, input_signature=[table_signature, rows], jit_compile=jit, autograph=False
        ),
        structure,
    )


def _rows(chunk: Chunk, outputs: list[tf.Tensor]) -> list[Any]:
    return [np.concatenate(output.numpy()[: chunk.steps]) for output in outputs]
