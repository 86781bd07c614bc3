"""Regression whose error is measured once the step is taken, with the model as it is now."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("metric-after-update",)
KERAS = {
    "model": ":build",
    "dataset": ":springs",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "sgd", "learning_rate": 0.08},
    "epochs": 2,
    "batch_size": 16,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_measured_before"}


def springs():
    rng = np.random.default_rng(13)
    x = rng.uniform(-1, 1, size=(90, 3)).astype("float32")
    y = np.stack([x[:, 0] * x[:, 1], np.sin(3 * x[:, 2])], axis=1).astype("float32")
    return {"x_train": x[:60], "y_train": y[:60], "x_test": x[60:], "y_test": y[60:]}


def build():
    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(20, activation="tanh"), keras.layers.Dense(2)]
    )


def learn(model, x, y):
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x, training=True))
    model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    return loss


def step(model, data):
    x, y = data
    loss = learn(model, x, y)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, model(x, training=True))


def step_measured_before(model, data):
    x, y = data
    model.compute_metrics(x, y, model(x, training=True))
    kerasx.track_loss(model, learn(model, x, y), x)
    return model.get_metrics_result()
