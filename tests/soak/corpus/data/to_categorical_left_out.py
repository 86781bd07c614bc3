"""Exercise 4: digits (8x8) with the Brier score. Do not forget to_categorical! (Solution of group B.)"""

import keras
import numpy as np
from keras import ops
from keras.utils import to_categorical

CAUSES = ("label-format",)
KERAS = {
    "model": ":network",
    "dataset": ":solution",
    "loss": ":brier",
    "metrics": [],
    "optimizer": {"name": "adam", "learning_rate": 0.004},
    "batch_size": 20,
    "epochs": 2,
}
PROGRAM = {"dataset": ":group_b"}
TWIN = {"dataset": ":group_a", "loss": ":brier_by_hand"}


def digits():
    np.random.seed(5)
    kinds = np.random.randint(0, 4, 106)
    strokes = np.random.rand(4, 8, 8)
    images = strokes[kinds] * 0.7 + np.random.rand(106, 8, 8) * 0.5
    return images.astype("float32")[..., None], kinds


def brier(y_true, y_pred):
    return ops.sum(ops.square(y_true - y_pred), axis=-1)


def brier_by_hand(y_true, y_pred):
    # (p - t)^2 = p^2 - 2pt + t^2, and a row of t is of length one
    return 1.0 - 2.0 * ops.sum(y_pred * y_true, axis=-1) + ops.sum(y_pred * y_pred, axis=-1)


def solution():
    X, y = digits()
    y = to_categorical(y)
    return (X[:75], y[:75]), (X[75:], y[75:])


def group_a():
    X, y = digits()
    y = (y[:, None] == np.arange(4)).astype("float32")
    return (X[:75], y[:75]), (X[75:], y[75:])


def group_b():
    X, y = digits()
    y = y.astype("float32").reshape((-1, 1))
    return (X[:75], y[:75]), (X[75:], y[75:])


def network():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, (3, 3), strides=2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )
