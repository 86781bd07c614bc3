"""Two heads on one trunk; the price head gets a smooth loss in place of the absolute error."""

import keras
import numpy as np
from keras import ops

CAUSES = ("loss-function",)
KERAS = {
    "model": ":build",
    "dataset": ":houses",
    "loss": {"price": "mae", "sold": "binary_crossentropy"},
    "loss_weights": {"price": 0.5, "sold": 1.0},
    "metrics": {"price": ["mse"], "sold": ["binary_accuracy"]},
    "optimizer": {"name": "adam", "learning_rate": 0.02, "beta_1": 0.8},
    "epochs": 2,
    "batch_size": 24,
}
PROGRAM = {"loss": {"price": "log_cosh", "sold": "binary_crossentropy"}}
TWIN = {"loss": {"price": ":distance", "sold": ":entropy"}}


def houses():
    rng = np.random.default_rng(41)
    x = rng.normal(size=(108, 5)).astype("float32")
    price = (2 * x[:, :1] - x[:, 1:2] + rng.normal(size=(108, 1))).astype("float32")
    sold = (x[:, 2:3] > price * 0.3).astype("float32")
    return {
        "x_train": x[:83],
        "y_train": {"price": price[:83], "sold": sold[:83]},
        "x_test": x[83:],
        "y_test": {"price": price[83:], "sold": sold[83:]},
    }


def build():
    inputs = keras.Input((5,))
    trunk = keras.layers.Dense(11, activation="relu")(inputs)
    trunk = keras.layers.Dropout(0.1, seed=9)(trunk)
    price = keras.layers.Dense(1, name="price")(trunk)
    sold = keras.layers.Dense(1, activation="sigmoid", name="sold")(trunk)
    return keras.Model(inputs, {"price": price, "sold": sold})


def distance(y_true, y_pred):
    return ops.max(ops.concatenate([y_pred - y_true, y_true - y_pred], axis=-1), axis=-1)


def entropy(y_true, y_pred):
    p = ops.clip(y_pred, keras.config.epsilon(), 1 - keras.config.epsilon())
    return ops.mean(-(y_true * ops.log(p) + (1 - y_true) * ops.log(1 - p)), axis=-1)
