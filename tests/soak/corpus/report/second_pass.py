"""A loop that trains over the batches of an epoch, and then goes over them once more to see what is left."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-report-moving",)
KERAS = {
    "model": ":build",
    "dataset": ":motors",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    "epochs": 2,
    "batch_size": 16,
}
PROGRAM = {"strategy": ":epoch"}
TWIN = {"strategy": ":epoch_of_one_pass"}


def motors():
    rng = np.random.default_rng(163)
    x = rng.normal(size=(108, 6)).astype("float32")
    y = np.tanh(x[:, :1]) * 2 + x[:, 1:2] - x[:, 2:3] * x[:, 3:4]
    return {"x_train": x[:74], "y_train": y[:74], "x_test": x[74:], "y_test": y[74:]}


def build():
    x = keras.Input((6,))
    hidden = keras.layers.Dense(12, activation="tanh", kernel_regularizer="l1")(x)
    return keras.Model(x, keras.layers.Dense(1)(hidden))


def learn(model, x, y):
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    slopes = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(slopes, model.trainable_variables)
    model.compute_metrics(x, y, y_pred)
    return loss


def epoch(model, batches):
    seen, mean_loss = [], model.metrics[0]
    for x, y in batches:
        learn(model, x, y)
        seen.append((x, y))
    for x, y in seen:
        loss = model.compute_loss(x, y, model(x, training=False), training=False)
        mean_loss.update_state(loss, sample_weight=x.shape[0])
    return model.get_metrics_result()


def epoch_of_one_pass(model, batches):
    seen, mean_loss = [], model.metrics[0]
    for x, y in batches:
        seen.append((learn(model, x, y), x.shape[0]))
    for loss, rows in reversed(seen):
        mean_loss.update_state(loss, sample_weight=rows)
    return model.get_metrics_result()
