"""An auxiliary head is made first, for later; the network is the same."""

import keras
import numpy as np

CAUSES = ("initial-weights",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "log_cosh",
    "metrics": ["mae"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"model": ":build_with_auxiliary"}
TWIN = {"model": ":build_from_parts"}


def data():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(98, 8)).astype("float32")
    y = np.tanh(x[:, :2] @ rng.normal(size=(2, 2))).astype("float32")
    return {"x_train": x[:78], "y_train": y[:78], "x_test": x[78:], "y_test": y[78:]}


def build():
    rows = keras.Input((8,))
    x = keras.layers.Dense(10, activation="relu", name="first")(rows)
    x = keras.layers.Dense(10, activation="relu", name="second")(x)
    return keras.Model(rows, keras.layers.Dense(2, name="head")(x))


def build_with_auxiliary():
    auxiliary = keras.layers.Dense(4, name="auxiliary")
    auxiliary.build((None, 8))
    return build()


def build_from_parts():
    first = keras.layers.Dense(10, name="first")
    second = keras.layers.Dense(10, name="second")
    head = keras.layers.Dense(2, name="head", kernel_initializer=keras.initializers.GlorotUniform())
    stem = keras.Sequential([first, keras.layers.ReLU(), second, keras.layers.Activation("relu")])
    rows = keras.Input((8,))
    return keras.Model(rows, keras.layers.Identity()(head(stem(rows))))
