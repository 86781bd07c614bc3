"""A step that asks the optimizer for its rate, which falls twice, and moves the weights on its own."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("optimizer-bypassed",)
KERAS = {
    "model": ":build",
    "dataset": ":windows",
    "loss": {"name": "huber", "delta": 1.5},
    "metrics": [],
    "optimizer": {
        "name": "sgd",
        "learning_rate": {
            "name": "piecewise_constant_decay",
            "boundaries": [0, 5],
            "values": [0.3, 0.1, 0.02],
        },
    },
    "epochs": 2,
    "batch_size": 13,
}
PROGRAM = {"model": ":build_own"}
TWIN = {"model": ":build_counting"}


def windows():
    rng = np.random.default_rng(59)
    x = rng.normal(size=(73, 10, 1)).astype("float32")
    y = (x[:, -3:, 0].sum(1, keepdims=True) * 2).astype("float32")
    return {"x_train": x[:58], "y_train": y[:58], "x_test": x[58:], "y_test": y[58:]}


class Own(keras.Model):
    counts = False

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred)
        rate = self.optimizer.learning_rate
        grads = tape.gradient(loss, self.trainable_weights)
        for weight, grad in zip(self.trainable_weights, grads, strict=True):
            weight.value.assign_sub(ops.multiply(grad, rate))
        if self.counts:
            self.optimizer.iterations.assign(self.optimizer.iterations + 1)
        self.metrics[0].update_state(loss, sample_weight=ops.shape(x)[0])
        return self.compute_metrics(x, y, y_pred)


class Counting(Own):
    counts = True


def graph(kind):
    inputs = keras.Input((10, 1))
    maps = keras.layers.Conv1D(5, 3, padding="causal", activation="relu")(inputs)
    return kind(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(maps)))


def build():
    return graph(keras.Model)


def build_own():
    return graph(Own)


def build_counting():
    return graph(Counting)
