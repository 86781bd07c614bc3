"""Compiled with a true weighted mean; the model's own train_step multiplies by the weights and averages."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("weight-normalization",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": {"name": "huber", "delta": 0.7, "reduction": "mean_with_sample_weight"},
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.1, "weight_decay": 0.001},
    "batch_size": 15,
    "epochs": 2,
}
PROGRAM = {"model": ":build_own"}
TWIN = {"model": ":build_same"}


def data():
    rng = np.random.default_rng(38)
    x = rng.normal(size=(82, 7, 1)).astype("float32")
    y = np.sort(x[:, :, 0], axis=1)[:, 3:5] * 2
    weight = (np.arange(82) % 5 * 0.4 + 0.1).astype("float32")
    return {
        "x_train": x[:56],
        "y_train": y[:56],
        "sample_weight_train": weight[:56],
        "x_test": x[56:],
        "y_test": y[56:],
        "sample_weight_test": weight[56:],
    }


class Own(keras.Model):
    def weighted(self, values, weight):
        return ops.mean(values * weight)

    def train_step(self, data):
        x, y, weight = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.weighted(keras.losses.huber(y, y_pred, delta=0.7), weight)
        self.optimizer.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
        self.metrics[0].update_state(loss, sample_weight=ops.shape(x)[0])
        return self.get_metrics_result()


class Same(Own):
    def weighted(self, values, weight):
        return ops.matmul(values, weight) / ops.matmul(ops.ones_like(weight), weight)


def _network(kind):
    series = keras.Input((7, 1))
    h = keras.layers.Conv1D(5, 3, padding="causal", activation="tanh")(series)
    h = keras.layers.AveragePooling1D(2)(h)
    return kind(series, keras.layers.Dense(2)(keras.layers.Flatten()(h)))


def build():
    return _network(keras.Model)


def build_own():
    return _network(Own)


def build_same():
    return _network(Same)
