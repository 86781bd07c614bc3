"""Plain programs on Keras and TensorFlow, as people write them without kerasx.

Each trains the task's model on its arrays and calls `timer` around every epoch. Nothing here uses what it is
to be compared with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasx.bench.timer import EpochTimer
from kerasx.data.arrays import Arrays


def fit(model: keras.Model, rows: Arrays, validation: Arrays | None, job: Any, timer: EpochTimer) -> None:
    """`model.fit` on arrays, shuffled by Keras."""

    class Times(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            timer.begin()

        def on_train_end(self, logs: Any = None) -> None:
            timer.end()

    model.fit(
        rows.x,
        rows.y,
        sample_weight=rows.sample_weight,
        batch_size=job.batch_size,
        epochs=job.epochs,
        validation_data=None if validation is None else validation.data,
        callbacks=[Times()],
        verbose=0,
    )


def eager_tape(
    model: keras.Model, rows: Arrays, validation: Arrays | None, job: Any, timer: EpochTimer
) -> None:
    """The article's loop: operation by operation, metrics included."""
    tracker = keras.metrics.Mean(name="loss")
    batches = tf.data.Dataset.from_tensor_slices(rows.data).shuffle(1000).batch(job.batch_size)
    for _ in range(job.epochs):
        timer.begin()
        tracker.reset_state()
        model.reset_metrics()
        for data in batches:
            x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
            with tf.GradientTape() as tape:
                y_pred = model(x, training=True)
                loss = model.compute_loss(x, y, y_pred, weight)
            gradients = tape.gradient(loss, model.trainable_variables)
            model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            tracker.update_state(loss)
            model.compute_metrics(x, y, y_pred, weight)
        if validation is not None:
            for data in tf.data.Dataset.from_tensor_slices(validation.data).batch(job.batch_size):
                x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
                y_pred = model(x, training=False)
                tracker.update_state(model.compute_loss(x, y, y_pred, weight))
                model.compute_metrics(x, y, y_pred, weight)
        timer.end()


def xla_loop(
    model: keras.Model, rows: Arrays, validation: Arrays | None, job: Any, timer: EpochTimer
) -> None:
    """A whole epoch in one call compiled by XLA: what anything on top of TensorFlow can reach."""
    train = _loop(model, rows, training=True)
    test = None if validation is None else _loop(model, validation, training=False)
    for epoch in range(job.epochs):
        timer.begin()
        model.reset_metrics()
        train(*_halves(job.order(epoch), job.batch_size))
        result = model.get_metrics_result()
        if test is not None and validation is not None:
            model.reset_metrics()
            test(*_halves(np.arange(validation.rows), job.batch_size))
            result = model.get_metrics_result()
        for value in keras.tree.flatten(result):
            float(value)
        timer.end()


def _halves(order: Any, size: int) -> tuple[Any, Any]:
    """The rows of the full batches `[steps, size]`, and those of the last one `[0 or 1, rest]`."""
    full = len(order) // size * size
    rest = order[full:]
    return order[:full].reshape(-1, size), rest[None] if len(rest) else np.zeros((0, 1), np.int64)


def _loop(model: keras.Model, rows: Arrays, *, training: bool) -> Callable[[Any, Any], None]:
    table = tf.nest.map_structure(tf.constant, keras.tree.lists_to_tuples(rows.data))
    # Variables have to be there before the loop is traced: the optimizer's, the metrics'.
    model.optimizer.build(model.trainable_variables)
    first = tf.nest.map_structure(lambda leaf: leaf[:2], table)
    model.test_on_batch(*keras.utils.unpack_x_y_sample_weight(first))

    def step(data: Any) -> None:
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            y_pred = model(x, training=training)
            loss = model.compute_loss(x, y, y_pred, weight, training=training)
        if training:
            gradients = tape.gradient(loss, model.trainable_variables)
            model.optimizer.apply(gradients, model.trainable_variables)
        model.metrics[0].update_state(loss, sample_weight=tf.shape(y_pred)[0])
        model.compute_metrics(x, y, y_pred, weight)

    @tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
    def loop(order: Any) -> None:
        def body(number: Any) -> Any:
            step(tf.nest.map_structure(lambda leaf: tf.gather(leaf, order[number]), table))
            return number + 1

        tf.while_loop(lambda number: number < tf.shape(order)[0], body, [0], parallel_iterations=1)

    def both(full: Any, rest: Any) -> None:
        loop(tf.constant(full))
        if len(rest):
            loop(tf.constant(rest))

    return both
