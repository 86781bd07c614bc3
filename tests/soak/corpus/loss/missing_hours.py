"""Hourly temperatures with gaps (-9): next hour from the hours so far. Keras's Masking does the rest."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("mask",)
KERAS = {
    "model": ":forecaster",
    "dataset": ":stations",
    "loss": "mae",
    "metrics": [],
    "optimizer": {"name": "adam", "learning_rate": 0.015},
    "batch_size": 14,
    "epochs": 2,
}
PROGRAM = {"strategy": ":fit_batch"}
TWIN = {"strategy": ":fit_batch_of_hours"}


def stations():
    rng = np.random.default_rng(1013)
    level = rng.normal(size=(80, 1))
    hours = level + np.sin(np.arange(11) / 4 + rng.uniform(0, 6, size=(80, 1)))
    x, y = hours[:, :-1, None].copy(), hours[:, 1:, None].copy()
    for row, known in enumerate(rng.integers(4, 11, size=80)):
        x[row, known:] = -9.0
        y[row, known:] = 0.0
    x, y = x.astype("float32"), y.astype("float32")
    return {"x_train": x[:60], "y_train": y[:60], "x_test": x[60:], "y_test": y[60:]}


def forecaster():
    return keras.Sequential(
        [
            keras.Input((10, 1)),
            keras.layers.Masking(mask_value=-9.0),
            keras.layers.GRU(7, return_sequences=True),
            keras.layers.TimeDistributed(keras.layers.Dense(1)),
        ]
    )


def fit_batch(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        out = model(x, training=True)
        loss = tf.reduce_mean(tf.abs(y - out))
    return finished(model, tape, loss, x, y, out)


def fit_batch_of_hours(model, data):
    x, y = data
    known = tf.where(x[..., 0] != -9.0)
    with tf.GradientTape() as tape:
        out = model(x, training=True)
        wrong = tf.abs(tf.gather_nd(y, known) - tf.gather_nd(out, known))
        loss = tf.reduce_sum(wrong) / tf.cast(tf.size(wrong), wrong.dtype)
    return finished(model, tape, loss, x, y, out)


def finished(model, tape, loss, x, y, out):
    model.optimizer.apply(tape.gradient(loss, model.trainable_weights), model.trainable_weights)
    model.metrics[0].update_state(loss, sample_weight=ops.shape(x)[0])
    return model.compute_metrics(x, y, out)
