"""Dropout in two lines of one's own."""

import keras
import numpy as np
from keras import ops

CAUSES = ("rng-stream",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 18,
    "epochs": 2,
}
PROGRAM = {"model": ":build_own"}
TWIN = {"model": ":build_masked"}


def data():
    rng = np.random.default_rng(61)
    x = rng.normal(size=(99, 8)).astype("float32")
    y = np.abs(x[:, :2]) - x[:, 2:4]
    return {"x_train": x[:76], "y_train": y[:76], "x_test": x[76:], "y_test": y[76:]}


class Own(keras.layers.Layer):
    """Drops what is drawn above the share that is kept."""

    def __init__(self, rate, seed):
        super().__init__()
        self.rate = rate
        self.numbers = keras.random.SeedGenerator(seed)

    def keeps(self, drawn):
        return drawn < 1 - self.rate

    def call(self, x, training=False):
        if not training:
            return x
        drawn = keras.random.uniform(ops.shape(x), seed=self.numbers, dtype=x.dtype)
        return ops.where(self.keeps(drawn), x / (1 - self.rate), 0.0)


class Masked(Own):
    """Drops what is drawn below the share that is dropped."""

    def keeps(self, drawn):
        return ops.logical_not(drawn < self.rate)


def _network(dropout):
    rows = keras.Input((8,))
    x = keras.layers.Dense(24, activation="relu")(rows)
    x = dropout(0.35, seed=12)(x)
    return keras.Model(rows, keras.layers.Dense(2)(x))


def build():
    return _network(keras.layers.Dropout)


def build_own():
    return _network(Own)


def build_masked():
    return _network(Masked)
