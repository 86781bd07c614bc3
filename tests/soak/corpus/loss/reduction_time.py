"""A recurrent forecaster that predicts every next value; its own train_step goes through the horizon."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("loss-reduction",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.003},
    "batch_size": 18,
    "epochs": 2,
}
PROGRAM = {"model": ":build_stepwise"}
TWIN = {"model": ":build_averaged"}


def data():
    rng = np.random.default_rng(2)
    walk = np.cumsum(rng.normal(scale=0.4, size=(100, 8, 2)), axis=1).astype("float32")
    x, y = walk[:, :-1], walk[:, 1:]
    return {"x_train": x[:70], "y_train": y[:70], "x_test": x[70:], "y_test": y[70:]}


def _network(kind):
    series = keras.Input((7, 2))
    h = keras.layers.GRU(6, return_sequences=True)(series)
    h = keras.layers.Dropout(0.2)(h)
    return kind(series, keras.layers.Dense(2)(h))


class Forecaster(keras.Model):
    def horizon_loss(self, y, y_pred):
        total = 0.0
        for t in range(y.shape[1]):
            total = total + ops.mean(ops.square(y_pred[:, t] - y[:, t]))
        return total

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.horizon_loss(y, y_pred)
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.trainable_weights)
        self.optimizer.apply(gradients, self.trainable_weights)
        self.metrics[0].update_state(loss, sample_weight=ops.shape(x)[0])
        return self.compute_metrics(x, y, y_pred)


class Averaged(Forecaster):
    def horizon_loss(self, y, y_pred):
        steps = zip(tf.unstack(y, axis=1), tf.unstack(y_pred, axis=1), strict=True)
        per_step = [tf.reduce_mean((b - a) ** 2, axis=(0, 1)) for a, b in steps]
        return tf.add_n(per_step[::-1]) / float(len(per_step))


def build():
    return _network(keras.Model)


def build_stepwise():
    return _network(Forecaster)


def build_averaged():
    return _network(Averaged)
