"""Weighted survey answers; the step takes features and target from each batch."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("sample-weight",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "sgd", "learning_rate": 0.03, "momentum": 0.9},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":same_step"}


def data():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(111, 7)).astype("float32")
    y = (x[:, :1] - x[:, 1:2] * x[:, 2:3]).astype("float32")
    weight = np.where(x[:, 3] > 0, 2.5, 0.4).astype("float32")
    return {
        "x_train": x[:84],
        "y_train": y[:84],
        "sample_weight_train": weight[:84],
        "x_test": x[84:],
        "y_test": y[84:],
        "sample_weight_test": weight[84:],
    }


def build():
    return keras.Sequential(
        [
            keras.Input((7,)),
            keras.layers.Dense(15, activation="relu"),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(1),
        ]
    )


def step(model, data):
    x, y = data[:2]
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    grads = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(grads, model.trainable_variables)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


def same_step(model, data):
    x, y, w = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        root = tf.sqrt(w)[:, None] * (y_pred - y)
        loss = tf.squeeze(tf.matmul(root, root, transpose_a=True)) / tf.cast(tf.shape(x)[0], tf.float32)
    grads = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(grads, model.trainable_variables)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred, w)
