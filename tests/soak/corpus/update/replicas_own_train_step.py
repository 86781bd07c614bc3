"""A model class with a train_step and a squared error of its own, on two devices."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("replica-scale",)
KERAS = {
    "model": ":build",
    "dataset": ":tides",
    "loss": "mse",
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.02, "momentum": 0.9, "nesterov": True},
    "epochs": 2,
    "batch_size": 22,
    "devices": 2,
    "execution": "graph",
}
PROGRAM = {"model": ":build_own"}
TWIN = {"model": ":build_twin"}


def tides():
    rng = np.random.default_rng(91)
    x = rng.normal(size=(103, 6, 2)).astype("float32")
    y = x[:, 1:4].sum(axis=1).astype("float32")
    w = rng.uniform(0.3, 2.0, size=103).astype("float32")
    return {
        "x_train": x[:83],
        "y_train": y[:83],
        "sample_weight_train": w[:83],
        "x_test": x[83:],
        "y_test": y[83:],
    }


class Own(keras.Model):
    def share(self, loss):
        return loss

    def train_step(self, data):
        x, y, w = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            squares = ops.mean(ops.square(y_pred - y), axis=-1)
            loss = ops.mean(squares * w)
            objective = self.share(loss)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(objective, variables), variables)
        self.metrics[0].update_state(loss, sample_weight=ops.shape(x)[0])
        return self.compute_metrics(x, y, y_pred, w)


class Twin(Own):
    def share(self, loss):
        return loss / tf.distribute.get_replica_context().num_replicas_in_sync


def graph(kind):
    inputs = keras.Input((6, 2))
    maps = keras.layers.Conv1D(5, 3, activation="relu")(inputs)
    return kind(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(maps)))


def build():
    return graph(keras.Model)


def build_own():
    return graph(Own)


def build_twin():
    return graph(Twin)
