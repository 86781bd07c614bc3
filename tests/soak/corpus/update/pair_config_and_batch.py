"""Twice the batch and twice the learning rate, as one does on a larger machine."""

import keras
import numpy as np
from keras import ops

CAUSES = ("optimizer-config", "batch-size")
KERAS = {
    "model": ":build",
    "dataset": ":cells",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "sgd", "learning_rate": 0.03, "momentum": 0.9},
    "epochs": 2,
    "batch_size": 16,
}
PROGRAM = {"batch_size": 32, "optimizer": {"name": "sgd", "learning_rate": 0.06, "momentum": 0.9}}
TWIN = {"optimizer": ":momentum_sgd", "loss": ":mean_of_squares"}


def cells():
    rng = np.random.default_rng(111)
    x = rng.normal(size=(107, 5, 2)).astype("float32")
    y = np.stack([x[:, :, 0].max(1), x[:, :, 1].min(1)], axis=1).astype("float32")
    return {"x_train": x[:88], "y_train": y[:88], "x_test": x[88:], "y_test": y[88:]}


def build():
    return keras.Sequential(
        [
            keras.Input((5, 2)),
            keras.layers.Dense(6, activation="relu"),
            keras.layers.GlobalMaxPooling1D(),
            keras.layers.Dense(2),
        ]
    )


def momentum_sgd():
    return keras.optimizers.SGD(0.03, momentum=1.0 - 0.1, gradient_accumulation_steps=None)


def mean_of_squares(y_true, y_pred):
    return ops.average((y_true - y_pred) ** 2, axis=-1)
