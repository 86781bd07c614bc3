"""Squared and absolute error together on one output; the step adds what compile was given as a list."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("loss-weights",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": ["mse", "mae"],
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.05},
    "batch_size": 14,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":same_step"}


def data():
    rng = np.random.default_rng(27)
    x = rng.normal(size=(86, 5)).astype("float32")
    y = np.stack([x[:, 0] * x[:, 1], np.abs(x[:, 2])], axis=1)
    return {"x_train": x[:61], "y_train": y[:61], "x_test": x[61:], "y_test": y[61:]}


def build():
    return keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(11, activation="tanh"),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.Dense(2),
        ]
    )


def step(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred) + ops.mean(ops.abs(y_pred - y))
    return _applied(model, tape, loss, x, y, y_pred)


def same_step(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        model.compute_loss(x, y, y_pred)
        loss = ops.sum((y_pred - y) ** 2) / ops.cast(ops.size(y), "float32")
    return _applied(model, tape, loss, x, y, y_pred)


def _applied(model, tape, loss, x, y, y_pred):
    pairs = [(tape.gradient(loss, model.trainable_variables), model.trainable_variables)]
    for grads, variables in pairs:
        model.optimizer.apply_gradients(zip(grads, variables, strict=True))
    model.metrics[0].update_state(loss, sample_weight=ops.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)
