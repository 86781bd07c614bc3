"""Gradient descent written out, with the classes as numbers wherever they are needed."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("optimizer-bypassed", "metric-label-format")
KERAS = {
    "model": ":build",
    "dataset": ":seeds",
    "loss": {"name": "categorical_crossentropy", "from_logits": True},
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.2, "weight_decay": 0.1},
    "epochs": 2,
    "batch_size": 12,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_with_decay"}


def seeds():
    rng = np.random.default_rng(211)
    kind = rng.integers(0, 3, size=98)
    x = (rng.normal(size=(3, 7))[kind] + 0.9 * rng.normal(size=(98, 7))).astype("float32")
    y = np.eye(3, dtype="float32")[kind]
    return {"x_train": x[:65], "y_train": y[:65], "x_test": x[65:], "y_test": y[65:]}


def build():
    return keras.Sequential(
        [keras.Input((7,)), keras.layers.Dense(11, activation="sigmoid"), keras.layers.Dense(3)]
    )


def slopes_of(model, x, numbers):
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(numbers, logits)
        loss = tf.reduce_mean(each)
    kerasx.track_loss(model, loss, x)
    return tape.gradient(loss, model.trainable_variables), logits


def step(model, data):
    x, y = data
    numbers = tf.argmax(y, axis=1)
    slopes, logits = slopes_of(model, x, numbers)
    rate = model.optimizer.learning_rate
    for weight, slope in zip(model.trainable_variables, slopes, strict=True):
        weight.assign_sub(rate * slope)
    return model.compute_metrics(x, numbers, logits)


def step_with_decay(model, data):
    x, y = data
    numbers = tf.argmax(y, axis=1)
    slopes, logits = slopes_of(model, x, numbers)
    model.optimizer.apply([slope * 1.0 for slope in slopes], model.trainable_variables)
    return model.compute_metrics(x, tf.one_hot(numbers, 3), logits)
