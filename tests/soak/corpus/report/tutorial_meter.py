"""The loss meter of the tutorials in a model class, for a weighted regression with a penalty."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-report-unweighted",)
KERAS = {
    "model": ":build",
    "dataset": ":wells",
    "loss": "mae",
    "weighted_metrics": ["mse"],
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.05, "nesterov": True, "momentum": 0.7},
    "epochs": 2,
    "batch_size": 28,
}
PROGRAM = {"model": ":build_wells"}
TWIN = {"model": ":build_wells_by_row"}


def wells():
    rng = np.random.default_rng(137)
    x = rng.normal(size=(140, 6)).astype("float32")
    y = (x[:, :1] ** 2 + x[:, 1:2] + rng.normal(size=(140, 1))).astype("float32")
    weight = rng.exponential(size=140).astype("float32")
    return {
        "x_train": x[:89],
        "y_train": y[:89],
        "sample_weight_train": weight[:89],
        "x_test": x[89:],
        "y_test": y[89:],
        "sample_weight_test": weight[89:],
    }


def layers():
    x = keras.Input((6,))
    hidden = keras.layers.Dense(9, activation="relu", kernel_regularizer=keras.regularizers.L2(0.03))(x)
    return x, keras.layers.Dense(1)(hidden)


def build():
    return keras.Model(*layers())


class Wells(keras.Model):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # Keras's own of that name comes first, and gives way to this one.
        self.loss_tracker = keras.metrics.Mean(name="loss")

    def train_step(self, data):
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred, sample_weight=weight)
        slopes = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(slopes, self.trainable_weights, strict=True))
        self.track(loss, y_pred)
        return self.compute_metrics(x, y, y_pred, sample_weight=weight)

    def track(self, loss, y_pred):
        self.loss_tracker.update_state(loss)

    def test_step(self, data):
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)
        self.track(self.compute_loss(x, y, y_pred, weight, training=False), y_pred)
        return self.compute_metrics(x, y, y_pred, sample_weight=weight)


class WellsByRow(Wells):
    def track(self, loss, y_pred):
        self.loss_tracker.update_state(loss + tf.zeros_like(y_pred[:, 0]))


def build_wells():
    return Wells(*layers())


def build_wells_by_row():
    return WellsByRow(*layers())
