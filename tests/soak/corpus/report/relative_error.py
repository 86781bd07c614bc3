"""Rainfall with an own metric, the relative error, which was brought along from an older project."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("metric-not-reset",)
KERAS = {
    "model": ":build",
    "dataset": ":rain",
    "loss": {"name": "huber", "delta": 0.7},
    "metrics": [":RelativeError"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.01, "momentum": 0.5},
    "epochs": 2,
    "batch_size": 17,
}
PROGRAM = {"metrics": [":OldRelativeError"]}
TWIN = {"metrics": [":CarefulRelativeError"]}


def rain():
    rng = np.random.default_rng(77)
    x = rng.uniform(size=(120, 4, 3)).astype("float32")
    y = (x[:, :, 0].sum(axis=1) * x[:, -1, 1] + 0.5)[:, None].astype("float32")
    return {"x_train": x[:80], "y_train": y[:80], "x_test": x[80:], "y_test": y[80:]}


def build():
    return keras.Sequential(
        [keras.Input((4, 3)), keras.layers.SimpleRNN(7), keras.layers.Dense(1, activation="softplus")]
    )


def relative(y_true, y_pred):
    return tf.abs(y_pred - y_true) / tf.maximum(tf.abs(y_true), 1e-3)


class RelativeError(keras.metrics.Metric):
    def __init__(self, name="relative_error"):
        super().__init__(name=name)
        self.total = self.add_weight(name="total", initializer="zeros")
        self.count = self.add_weight(name="count", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        errors = relative(y_true, y_pred)
        self.total.assign_add(tf.reduce_sum(errors))
        self.count.assign_add(tf.cast(tf.size(errors), tf.float32))

    def result(self):
        return tf.math.divide_no_nan(tf.convert_to_tensor(self.total), tf.convert_to_tensor(self.count))


class OldRelativeError(keras.metrics.Metric):
    def __init__(self, name="relative_error"):
        super().__init__(name=name)
        self.total = tf.Variable(0.0, trainable=False)
        self.count = tf.Variable(0.0, trainable=False)

    def update_state(self, y_true, y_pred, sample_weight=None):
        errors = relative(y_true, y_pred)
        self.total.assign_add(tf.reduce_sum(errors))
        self.count.assign_add(tf.cast(tf.shape(errors)[0], tf.float32))

    def result(self):
        return tf.math.divide_no_nan(self.total, self.count)

    def reset_states(self):
        self.total.assign(0.0)
        self.count.assign(0.0)


class CarefulRelativeError(OldRelativeError):
    def reset_state(self):
        super().reset_state()
        self.reset_states()
