"""Squared error by hand, divided by the rows of a batch, and the learning rate in the logs."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-reduction", "loss-report-last-batch")
KERAS = {
    "model": ":build",
    "dataset": ":scans",
    "loss": "mse",
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
    "epochs": 2,
    "batch_size": 16,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_over_outputs"}


def scans():
    rng = np.random.default_rng(181)
    kind = rng.integers(0, 5, size=109)
    x = (rng.uniform(size=(5, 4, 4))[kind] + 0.3 * rng.normal(size=(109, 4, 4))).astype("float32")
    y = np.eye(5, dtype="float32")[kind]
    return {"x_train": x[:73], "y_train": y[:73], "x_test": x[73:], "y_test": y[73:]}


def build():
    return keras.Sequential(
        [
            keras.Input((4, 4)),
            keras.layers.Flatten(),
            keras.layers.Dense(14, activation="relu"),
            keras.layers.Dense(5, activation="softmax"),
        ]
    )


def learn(model, x, y, share):
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = share * tf.reduce_sum((y - y_pred) ** 2) / tf.cast(tf.shape(x)[0], tf.float32)
    slopes = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply_gradients(zip(slopes, model.trainable_variables, strict=True))
    return y_pred, loss


def step(model, data):
    x, y = data
    y_pred, loss = learn(model, x, y, 1.0)
    logs = model.compute_metrics(x, y, y_pred)
    logs.update(loss=loss, lr=tf.convert_to_tensor(model.optimizer.learning_rate))
    return logs


def step_over_outputs(model, data):
    x, y = data
    y_pred, loss = learn(model, x, y, 1.0 / 5.0)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)
