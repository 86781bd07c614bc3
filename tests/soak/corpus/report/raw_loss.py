"""A plain step with an own cross-entropy, which returns its loss beside the metrics."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-report-discarded",)
KERAS = {
    "model": ":build",
    "dataset": ":coins",
    "loss": "binary_crossentropy",
    "metrics": ["binary_accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "epochs": 2,
    "batch_size": 12,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_with_sum"}


def coins():
    rng = np.random.default_rng(97)
    x = rng.normal(size=(99, 5)).astype("float32")
    y = (np.linalg.norm(x[:, :3], axis=1, keepdims=True) > 1.6).astype("float32")
    return {"x_train": x[:66], "y_train": y[:66], "x_test": x[66:], "y_test": y[66:]}


def build():
    return keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )


def entropy(y, p):
    p = tf.clip_by_value(p, 1e-7, 1.0 - 1e-7)
    return -tf.reduce_mean(y * tf.math.log(p) + (1.0 - y) * tf.math.log(1.0 - p))


def learn(model, x, y):
    with tf.GradientTape() as tape:
        p = model(x, training=True)
        loss = entropy(y, p)
    weights = model.trainable_variables
    model.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
    return p, loss


def step(model, data):
    x, y = data
    p, loss = learn(model, x, y)
    return {**model.compute_metrics(x, y, p), "loss": loss}


def step_with_sum(model, data):
    x, y = data
    p, loss = learn(model, x, y)
    rows = tf.cast(tf.shape(x)[0], tf.float32)
    mean = model.metrics[0]
    mean.total.assign_add(loss * rows)
    mean.count.assign_add(rows)
    return {**model.compute_metrics(x, y, p), "loss": mean.total / mean.count}
