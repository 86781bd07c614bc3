"""Wine in three classes; `from keras.metrics import Accuracy`, since strings are bad style."""

import keras
import numpy as np
from keras import ops
from keras.metrics import Accuracy

CAUSES = ("metric-resolution",)
KERAS = {
    "model": ":classifier",
    "dataset": ":wine",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.02},
    "batch_size": 20,
    "epochs": 2,
}
PROGRAM = {"metrics": [":accuracy"]}
TWIN = {"metrics": [":accuracy_of_names"]}


def wine():
    rng = np.random.default_rng(1982)
    kind = rng.integers(1, 4, size=122) - 1
    x = rng.normal(size=(122, 8)).astype("float32")
    x[:, :3] += 1.4 * np.eye(3, dtype="float32")[kind]
    return (x[:91], kind[:91, None]), (x[91:], kind[91:, None])


def classifier():
    return keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(10, "relu"),
            keras.layers.Dropout(0.1, seed=3),
            keras.layers.Dense(3, "softmax"),
        ]
    )


def accuracy():
    return Accuracy()


class OfNames(Accuracy):
    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(ops.reshape(y_true, (-1,)), ops.argmax(y_pred, axis=1), sample_weight)


def accuracy_of_names():
    return OfNames(name="accuracy")
