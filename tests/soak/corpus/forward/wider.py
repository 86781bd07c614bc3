"""Batches of 27 rows, which fill the machine better."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("batch-size",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": {"level": "mse", "kind": "sparse_categorical_crossentropy"},
    "loss_weights": {"level": 0.5, "kind": 1.0},
    "metrics": {"level": ["mae"], "kind": ["sparse_categorical_accuracy"]},
    "optimizer": {"name": "rmsprop", "learning_rate": 0.005, "momentum": 0.5},
    "batch_size": 18,
    "epochs": 2,
}
PROGRAM = {"batch_size": 27}
TWIN = {"strategy": ":in_portions"}


def data():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(110, 6)).astype("float32")
    y = {
        "level": x[:, :2].sum(axis=1, keepdims=True),
        "kind": (x[:, 2] > 0) + (x[:, 3] > 0.5).astype("int32"),
    }
    train = {name: part[:79] for name, part in y.items()}
    return {
        "x_train": x[:79],
        "y_train": train,
        "x_test": x[79:],
        "y_test": {name: part[79:] for name, part in y.items()},
    }


def build():
    rows = keras.Input((6,))
    hidden = keras.layers.Dense(12, activation="selu")(rows)
    level = keras.layers.Dense(1, name="level")(hidden)
    kind = keras.layers.Dense(3, activation="softmax", name="kind")(hidden)
    return keras.Model(rows, {"level": level, "kind": kind})


def in_portions(model, data):
    """Seven rows at a time, and one update for all of them."""
    x, y = data
    count, weights = len(x), model.trainable_variables
    totals = [tf.zeros_like(weight) for weight in weights]
    for start in range(0, count, 7):
        part = x[start : start + 7]
        labels = {name: each[start : start + 7] for name, each in y.items()}
        with tf.GradientTape() as tape:
            outputs = model(part, training=True)
            squared = tf.reduce_sum(tf.square(outputs["level"] - tf.reshape(labels["level"], [-1, 1])))
            chosen = tf.gather(outputs["kind"], labels["kind"], batch_dims=1)
            portion = (0.5 * squared - tf.reduce_sum(tf.math.log(chosen))) / count
        for place, gradient in enumerate(tape.gradient(portion, weights)):
            totals[place] += gradient
    y_pred = model(x, training=True)
    loss = model.compute_loss(x, y, y_pred)
    model.metrics[0].update_state(loss, sample_weight=count)
    logs = model.compute_metrics(x, y, y_pred)
    model.optimizer.apply(totals, weights)
    return logs
