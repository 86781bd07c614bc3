"""Weighted rows, averaged by their weights, over a text branch that numpy computes."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("gradient-missing", "weight-normalization")
KERAS = {
    "model": ":build",
    "dataset": ":ads",
    "loss": "mse",
    "metrics": [],
    "optimizer": {"name": "nadam", "learning_rate": 0.02},
    "epochs": 2,
    "batch_size": 18,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_twin"}


def ads():
    rng = np.random.default_rng(107)
    x = {
        "numbers": rng.normal(size=(100, 4)).astype("float32"),
        "levels": rng.uniform(size=(100, 6)).astype("float32"),
    }
    y = (x["numbers"][:, :1] + 3 * x["levels"][:, :2].mean(1, keepdims=True)).astype("float32")
    w = rng.uniform(0.5, 4.0, size=100).astype("float32")
    return {
        "x_train": {name: part[:82] for name, part in x.items()},
        "y_train": y[:82],
        "sample_weight_train": w[:82],
        "x_test": {name: part[82:] for name, part in x.items()},
        "y_test": y[82:],
    }


def build():
    numbers, levels = keras.Input((4,), name="numbers"), keras.Input((6,), name="levels")
    left = keras.layers.Dense(6, activation="relu", name="left")(numbers)
    right = keras.layers.Dense(6, activation="relu", name="right")(levels)
    total = keras.layers.Dense(1, name="total")(keras.layers.Concatenate(name="join")([left, right]))
    return keras.Model({"numbers": numbers, "levels": levels}, total)


def train(model, data, pass_on, weights_of):
    x, y, w = data
    left, right, join, total = (model.get_layer(name) for name in ("left", "right", "join", "total"))
    with tf.GradientTape() as tape:
        branch = pass_on(right(x["levels"]))
        y_pred = total(join([left(x["numbers"]), branch]))
        squares = tf.reduce_mean(tf.square(y - y_pred), axis=-1)
        loss = tf.reduce_sum(weights_of(w) * squares)
    grads = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(grads, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(y)[0])
    return model.compute_metrics(x, y, y_pred, w)


def step(model, data):
    return train(model, data, lambda branch: branch.numpy(), lambda w: w / tf.reduce_sum(w))


def step_twin(model, data):
    return train(model, data, tf.identity, lambda w: w / tf.cast(tf.shape(w)[0], w.dtype))
