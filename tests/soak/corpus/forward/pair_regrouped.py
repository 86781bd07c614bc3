"""Two batches at a time, and the mean of the losses at the end of the epoch."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("batch-size", "loss-report-unweighted")
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 15,
    "epochs": 2,
}
PROGRAM = {"strategy": ":two_at_a_time"}
TWIN = {"strategy": ":one_at_a_time"}


def data():
    rng = np.random.default_rng(40)
    x = rng.normal(size=(98, 10, 2)).astype("float32")
    y = np.cumsum(x[:, -3:, 0], axis=1) ** 2
    return {"x_train": x[:68], "y_train": y[:68], "x_test": x[68:], "y_test": y[68:]}


def build():
    return keras.Sequential(
        [
            keras.Input((10, 2)),
            keras.layers.Conv1D(8, 3, strides=2, activation="relu"),
            keras.layers.GRU(8),
            keras.layers.Dense(3),
        ]
    )


@tf.function(reduce_retracing=True)
def _learn(model, x, y):
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = tf.reduce_mean(tf.square(y_pred - y))
    return loss, y_pred, tape.gradient(loss, model.trainable_variables)


def two_at_a_time(model, batches):
    losses = []
    for x, y in batches.unbatch().batch(30):
        loss, y_pred, gradients = _learn(model, x, y)
        model.optimizer.apply(gradients, model.trainable_variables)
        model.compute_metrics(x, y, y_pred)
        losses.append(float(loss))
    return {**model.get_metrics_result(), "loss": _reported(model, sum(losses), len(losses))}


def one_at_a_time(model, batches):
    total = rows = 0.0
    for x, y in batches.unbatch().batch(15):
        loss, y_pred, gradients = _learn(model, x, y)
        model.optimizer.apply(gradients, model.trainable_variables)
        model.compute_metrics(x, y, y_pred)
        total += float(loss) * len(x)
        rows += len(x)
    return {**model.get_metrics_result(), "loss": _reported(model, total, rows)}


def _reported(model, total, weight):
    model.metrics[0].update_state(total / weight)
    return model.metrics[0].result()
