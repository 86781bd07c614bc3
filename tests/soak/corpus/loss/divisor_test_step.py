"""Keras trains; validation has a step of its own that reports the squared error per picture."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-batch-divisor",)
PER_BATCH = 13
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.02},
    "batch_size": 13,
    "epochs": 2,
}
PROGRAM = {"strategy": {"name": "custom-step", "test_step": ":validate"}}
TWIN = {"strategy": {"name": "custom-step", "test_step": ":same_validate"}}


def data():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(101, 4, 3)).astype("float32")
    y = np.stack([x.min(axis=(1, 2)), x.max(axis=(1, 2)), x.mean(axis=(1, 2))], axis=1)
    return {"x_train": x[:66], "y_train": y[:66], "x_test": x[66:], "y_test": y[66:]}


def build():
    return keras.Sequential(
        [
            keras.Input((4, 3)),
            keras.layers.Conv1D(6, 2, activation="elu"),
            keras.layers.GlobalMaxPooling1D(),
            keras.layers.Dense(3),
        ]
    )


def _report(model, x, y, y_pred, loss):
    model.metrics[0].update_state(loss, sample_weight=len(x))
    return model.compute_metrics(x, y, y_pred, None)


def validate(model, data):
    x, y = data
    y_pred = model(x, training=False)
    squared = tf.reduce_mean(tf.math.squared_difference(y, y_pred), axis=1)
    return _report(model, x, y, y_pred, tf.reduce_sum(squared) / PER_BATCH)


def same_validate(model, data):
    x, y = data
    y_pred = model(x, training=False)
    total = tf.nn.l2_loss(y - y_pred) * 2.0
    return _report(model, x, y, y_pred, total / tf.cast(tf.size(y), tf.float32))
