"""Keras trains with penalties; a test step reports what the model costs on held-out rows."""

import keras
import numpy as np
from keras import ops

import kerasx

CAUSES = ("loss-extra",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mean_squared_logarithmic_error",
    "metrics": ["mae"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.004, "momentum": 0.5},
    "batch_size": 11,
    "epochs": 2,
}
PROGRAM = {"strategy": {"name": "custom-step", "test_step": ":validate"}}
TWIN = {"strategy": {"name": "custom-step", "test_step": ":same_validate"}}


def data():
    rng = np.random.default_rng(28)
    x = rng.uniform(size=(96, 3, 2)).astype("float32")
    y = np.exp(x.sum(axis=1)).astype("float32")
    return {"x_train": x[:60], "y_train": y[:60], "x_test": x[60:], "y_test": y[60:]}


def build():
    return keras.Sequential(
        [
            keras.Input((3, 2)),
            keras.layers.SimpleRNN(8, kernel_regularizer="l2", recurrent_regularizer="l2"),
            keras.layers.Dense(2, activation="softplus", activity_regularizer=keras.regularizers.L2(1e-3)),
        ]
    )


def msle(y, y_pred):
    return ops.mean(ops.square(ops.log1p(y_pred) - ops.log1p(y)))


def validate(model, data):
    x, y = data
    y_pred = model(x, training=False)
    kerasx.track_loss(model, msle(y, y_pred), x)
    return model.compute_metrics(x, y, y_pred)


def same_validate(model, data):
    x, y = data
    y_pred = model(x, training=False)
    loss = sum(model.losses, start=msle(y, y_pred))
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)
