"""Keras trains on padded series; validation is measured by a step that averages plain absolute errors."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("mask",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mae",
    "metrics": ["mse"],
    "optimizer": {"name": "adam", "learning_rate": 0.008},
    "batch_size": 12,
    "epochs": 2,
}
PROGRAM = {"strategy": {"name": "custom-step", "test_step": ":validate"}}
TWIN = {"strategy": {"name": "custom-step", "test_step": ":same_validate"}}


def data():
    rng = np.random.default_rng(59)
    x = rng.normal(loc=1.0, size=(95, 8, 2)).astype("float32")
    x[np.arange(8) >= rng.integers(3, 9, size=95)[:, None]] = -9.0
    y = np.where(x[..., :1] > -9, x[..., :1] * x[..., 1:], 0).astype("float32")
    return {"x_train": x[:65], "y_train": y[:65], "x_test": x[65:], "y_test": y[65:]}


def build():
    return keras.Sequential(
        [
            keras.Input((8, 2)),
            keras.layers.Masking(mask_value=-9.0),
            keras.layers.LSTM(6, return_sequences=True),
            keras.layers.TimeDistributed(keras.layers.Dense(3, activation="relu")),
            keras.layers.Dense(1),
        ]
    )


def _validated(model, data, rows_of):
    x, y = data
    y_pred = model(x, training=False)
    errors = tf.abs(y - y_pred)[..., 0]
    loss = tf.reduce_sum(errors * rows_of(x)) / tf.reduce_sum(rows_of(x))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(y)[0])
    return model.compute_metrics(x, y, y_pred, None)


def validate(model, data):
    return _validated(model, data, lambda x: tf.ones(tf.shape(x)[:2]))


def same_validate(model, data):
    return _validated(model, data, lambda x: tf.cast(x[..., 0] != -9.0, tf.float32))
