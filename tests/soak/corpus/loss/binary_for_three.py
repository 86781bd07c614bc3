"""A book example for two classes (binary_crossentropy), extended to three: softmax, one-hot, and compile as it was."""

import keras
import numpy as np
from keras import ops

CAUSES = ("loss-function",)
KERAS = {
    "model": ":newswire",
    "dataset": ":topics",
    "loss": "categorical_crossentropy",
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.005},
    "batch_size": 32,
    "epochs": 2,
}
PROGRAM = {"loss": "binary_crossentropy"}
TWIN = {"loss": ":surprise"}


def vectorize(sequences, dimension=30):
    results = np.zeros((len(sequences), dimension), "float32")
    for i, sequence in enumerate(sequences):
        results[i, sequence] = 1.0
    return results


def topics():
    rng = np.random.default_rng(46)
    label = rng.integers(3, size=125)
    favourite = rng.integers(0, 30, size=(3, 9))
    texts = [np.r_[rng.choice(favourite[k], 4), rng.integers(0, 30, 5)] for k in label]
    x, y = vectorize(texts), np.eye(3, dtype="float32")[label]
    return {"x_train": x[:92], "y_train": y[:92], "x_test": x[92:], "y_test": y[92:]}


def newswire():
    model = keras.Sequential()
    model.add(keras.Input((30,)))
    model.add(keras.layers.Dense(12, activation="relu"))
    model.add(keras.layers.Dense(12, activation="relu"))
    model.add(keras.layers.Dense(3, activation="softmax"))
    return model


def surprise(y_true, y_pred):
    """What is said about the class that it was."""
    return -ops.log(ops.max(y_true * y_pred, axis=-1))
