"""A step that reports, beside loss and accuracy, which learning rate it took."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-report-last-batch",)
KERAS = {
    "model": ":build",
    "dataset": ":leaves",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["accuracy"],
    "optimizer": {
        "name": "sgd",
        "momentum": 0.9,
        "learning_rate": {
            "name": "exponential_decay",
            "initial_learning_rate": 0.1,
            "decay_steps": 5,
            "decay_rate": 0.8,
        },
    },
    "epochs": 2,
    "batch_size": 16,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_with_printed_rate"}


def leaves():
    rng = np.random.default_rng(53)
    kind = rng.integers(0, 3, size=115)
    x = (rng.normal(size=(3, 4))[kind] + 0.7 * rng.normal(size=(115, 4))).astype("float32")
    return {"x_train": x[:77], "y_train": kind[:77], "x_test": x[77:], "y_test": kind[77:]}


def build():
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(15, activation="relu"),
            keras.layers.Dropout(0.25, seed=9),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def learn(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    hits = tf.cast(y, tf.int64) == tf.argmax(y_pred, axis=-1)
    return y_pred, loss, tf.reduce_mean(tf.cast(hits, tf.float32))


def step(model, data):
    y_pred, loss, accuracy = learn(model, data)
    model.compute_metrics(*data, y_pred)
    return {"loss": loss, "accuracy": accuracy, "learning_rate": tf.identity(model.optimizer.learning_rate)}


def step_with_printed_rate(model, data):
    y_pred, loss, accuracy = learn(model, data)
    rate = tf.strings.format("{}: {} {}", (model.optimizer.iterations.value, loss, accuracy))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(data[0])[0])
    logs = model.compute_metrics(data[0], data[1], y_pred)
    return {name: value for name, value in sorted(logs.items(), reverse=True) if rate is not None}
