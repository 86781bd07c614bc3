"""Three horizons of a forecast as a list of outputs, compiled with the losses alone."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("loss-weights",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": ["mae", "mae", "mse"],
    "loss_weights": [1.0, 0.5, 0.1],
    "metrics": [],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 23,
    "epochs": 2,
}
PROGRAM = {"loss_weights": None}
TWIN = {"loss_weights": None, "model": ":build_weighing"}


def data():
    rng = np.random.default_rng(20)
    walk = np.cumsum(rng.normal(scale=0.5, size=(100, 12)), axis=1).astype("float32")
    x, y = walk[:, :8, None], [walk[:, 8:9], walk[:, 9:10], walk[:, 11:12]]
    return {
        "x_train": x[:78],
        "y_train": [each[:78] for each in y],
        "x_test": x[78:],
        "y_test": [each[78:] for each in y],
    }


def _network(kind):
    series = keras.Input((8, 1))
    h = keras.layers.Conv1D(6, 3, activation="relu")(series)
    h = keras.layers.GRU(5)(h)
    return kind(series, [keras.layers.Dense(1, name=f"in_{n}")(h) for n in (1, 2, 4)])


class Weighing(keras.Model):
    """Compiled without weights; both steps weigh by themselves."""

    def _total(self, x, y, y_pred):
        plain = self.compute_loss(x, y, y_pred)
        later = tf.reduce_mean(tf.abs(y[1] - y_pred[1]))
        latest = tf.reduce_mean(tf.square(y[2] - y_pred[2]))
        return plain - 0.5 * later - 0.9 * latest

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self._total(x, y, y_pred)
        grads = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(grads, self.trainable_variables)
        kerasx.track_loss(self, loss, x)
        return self.compute_metrics(x, y, y_pred)

    def test_step(self, data):
        x, y = data
        y_pred = self(x, training=False)
        kerasx.track_loss(self, self._total(x, y, y_pred), x)
        return self.compute_metrics(x, y, y_pred)


def build():
    return _network(keras.Model)


def build_weighing():
    return _network(Weighing)
