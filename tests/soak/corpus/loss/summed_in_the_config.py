"""Settings taken over from a torch config file: {loss: L1Loss, reduction: sum}."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-reduction",)
KERAS = {
    "model": ":net",
    "dataset": ":bikes",
    "loss": "mean_absolute_error",
    "metrics": ["mse"],
    "optimizer": {"name": "sgd", "learning_rate": 0.002},
    "batch_size": 21,
    "epochs": 2,
}
PROGRAM = {"loss": {"name": "mean_absolute_error", "reduction": "sum"}}
TWIN = {"loss": ":l1"}


def bikes():
    rng = np.random.default_rng(52)
    hour = rng.integers(0, 24, size=(120, 1))
    warm = rng.normal(size=(120, 1))
    x = np.concatenate([np.sin(hour / 12 * np.pi), np.cos(hour / 12 * np.pi), warm], 1).astype("float32")
    y = (1.5 + x[:, :1] + 0.5 * np.maximum(warm, 0) + 0.1 * rng.normal(size=(120, 1))).astype("float32")
    return (x[:95], y[:95]), (x[95:], y[95:])


def net():
    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(16, activation="softplus"), keras.layers.Dense(1)]
    )


class L1(keras.losses.Loss):
    def call(self, target, output):
        return tf.reduce_mean(tf.maximum(target - output, output - target), axis=-1)


def l1():
    return L1(reduction="mean", name="l1")
