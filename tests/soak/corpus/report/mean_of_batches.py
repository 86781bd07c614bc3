"""Training and test step of a small regression network, each with the mean of its loss."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-report-unweighted",)
KERAS = {
    "model": ":build",
    "dataset": ":cars",
    "loss": "mse",
    "metrics": ["mape"],
    "optimizer": {"name": "adamax", "learning_rate": 0.02},
    "epochs": 2,
    "batch_size": 32,
}
PROGRAM = {"strategy": {"name": "custom-step", "step": ":step", "test_step": ":test_step"}}
TWIN = {"strategy": {"name": "custom-step", "step": ":row_step", "test_step": ":row_test_step"}}


def cars():
    rng = np.random.default_rng(113)
    x = rng.normal(size=(139, 7)).astype("float32")
    y = (6 + x[:, :1] - 2 * np.abs(x[:, 1:2]) + 0.2 * rng.standard_t(2, size=(139, 1))).astype("float32")
    return {"x_train": x[:101], "y_train": y[:101], "x_test": x[101:], "y_test": y[101:]}


def build():
    return keras.Sequential(
        [
            keras.Input((7,)),
            keras.layers.Dense(12, activation="leaky_relu"),
            keras.layers.Dropout(0.1, seed=1),
            keras.layers.Dense(1),
        ]
    )


def run_step(model, data, track):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        squares = tf.square(y - y_pred)
        loss = tf.reduce_mean(squares)
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    track(model.metrics[0], squares)
    return model.compute_metrics(x, y, y_pred)


def run_test(model, data, track):
    x, y = data
    y_pred = model(x, training=False)
    track(model.metrics[0], tf.math.squared_difference(y_pred, y))
    return model.compute_metrics(x, y, y_pred)


def one_a_batch(tracker, squares):
    tracker.update_state(tf.reduce_mean(squares))


def one_a_row(tracker, squares):
    tracker.update_state(tf.reduce_sum(squares, axis=-1))


def step(model, data):
    return run_step(model, data, one_a_batch)


def test_step(model, data):
    return run_test(model, data, one_a_batch)


def row_step(model, data):
    return run_step(model, data, one_a_row)


def row_test_step(model, data):
    return run_test(model, data, one_a_row)
