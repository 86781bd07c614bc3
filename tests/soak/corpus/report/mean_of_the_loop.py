"""A loop over one epoch that averages the loss over rows itself, and the error too, and returns both."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-report-discarded",)
KERAS = {
    "model": ":build",
    "dataset": ":tides",
    "loss": "mean_squared_logarithmic_error",
    "metrics": ["mae"],
    "optimizer": {"name": "sgd", "learning_rate": 0.2, "momentum": 0.5},
    "epochs": 2,
    "batch_size": 15,
}
PROGRAM = {"strategy": ":epoch"}
TWIN = {"strategy": ":epoch_that_hands_over"}


def tides():
    rng = np.random.default_rng(103)
    time = rng.uniform(0, 30, size=(110, 1))
    x = np.concatenate([np.sin(time), np.cos(time), np.sin(0.5 * time)], axis=1).astype("float32")
    y = (2 + np.sin(time + 0.4) + 0.5 * np.cos(0.5 * time)).astype("float32")
    return {"x_train": x[:73], "y_train": y[:73], "x_test": x[73:], "y_test": y[73:]}


def build():
    return keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(10, activation="selu", kernel_initializer="lecun_normal"),
            keras.layers.Dense(1, activation="softplus"),
        ]
    )


def learn(model, batches):
    """The loss and the rows of each batch, and what the metrics say in the end."""
    losses, rows = [], []
    for x, y in batches:
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = tf.reduce_mean(tf.square(tf.math.log1p(y) - tf.math.log1p(y_pred)))
        slopes = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply(slopes, model.trainable_variables)
        losses.append(float(loss))
        rows.append(int(x.shape[0]))
        logs = model.compute_metrics(x, y, y_pred)
    return losses, rows, logs


def epoch(model, batches):
    losses, rows, logs = learn(model, batches)
    return {"loss": np.average(losses, weights=rows), "mae": float(logs["mae"])}


def epoch_that_hands_over(model, batches):
    losses, rows, logs = learn(model, batches)
    model.metrics[0].update_state(np.array(losses, "float32"), sample_weight=np.array(rows, "float32"))
    return {"loss": np.average(losses, weights=rows), "mae": float(logs["mae"])}
