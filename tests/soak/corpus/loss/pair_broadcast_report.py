"""Predicts a single number; a loop that averages the losses of its batches."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("shape-broadcast", "loss-report-unweighted")
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mae",
    "metrics": ["mse"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 22,
    "epochs": 2,
}
PROGRAM = {"strategy": ":epoch"}
TWIN = {"strategy": ":same_epoch"}


def data():
    rng = np.random.default_rng(105)
    x = rng.normal(size=(99, 4)).astype("float32")
    y = np.where(x[:, 0] > 0, x[:, 1] + 1, x[:, 2]).astype("float32")
    return {"x_train": x[:71], "y_train": y[:71], "x_test": x[71:], "y_test": y[71:]}


def build():
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(9, activation="elu"),
            keras.layers.Dense(9, activation="elu"),
            keras.layers.Dense(1),
        ]
    )


def epoch(model, batches):
    mean_loss = model.metrics[0]
    for x, y in batches:
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = tf.reduce_mean(tf.abs(y_pred - y))
        model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        mean_loss(loss)
        logs = model.compute_metrics(x, y, y_pred)
    return logs


def same_epoch(model, batches):
    mean_loss = model.metrics[0]
    for x, y in batches:
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            errors = tf.abs(tf.reshape(y_pred, tf.shape(y)) - y)
            loss = tf.reduce_mean(errors)
        model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        mean_loss.update_state(errors)
        logs = model.compute_metrics(x, y, y_pred)
    return logs
