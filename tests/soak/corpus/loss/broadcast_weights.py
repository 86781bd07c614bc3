"""Rows with weights that the data set keeps as a column; the step multiplies them with the rows' losses."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("shape-broadcast",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mse",
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.06, "momentum": 0.6},
    "batch_size": 21,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":same_step"}


def data():
    rng = np.random.default_rng(83)
    x = rng.normal(size=(85, 4)).astype("float32")
    y = np.stack([x[:, 0] ** 2, x[:, 1] - x[:, 2]], axis=1)
    weight = np.clip(x[:, :1] ** 2 + 0.2, 0.2, 3.0)
    return {
        "x_train": x[:71],
        "y_train": y[:71],
        "sample_weight_train": weight[:71],
        "x_test": x[71:],
        "y_test": y[71:],
        "sample_weight_test": weight[71:],
    }


def build():
    x = keras.Input((4,))
    h = keras.layers.Dense(10, activation="mish")(x)
    h = keras.layers.Dense(4, activation="mish")(h)
    return keras.Model(x, keras.layers.Dense(2)(h))


def step(model, data):
    x, y, weight = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        losses = keras.losses.mean_squared_error(y, y_pred)
        loss = tf.reduce_mean(weight * losses)
    model.optimizer.apply(tape.gradient(loss, model.trainable_weights), model.trainable_weights)
    kerasx.track_loss(model, loss, x)
    return model.get_metrics_result()


def same_step(model, data):
    x, y, weight = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        losses = keras.losses.mean_squared_error(y, y_pred)
        loss = tf.linalg.trace(weight * losses) / tf.cast(tf.shape(x)[0], tf.float32)
    model.optimizer.apply(tape.gradient(loss, model.trainable_weights), model.trainable_weights)
    kerasx.track_loss(model, loss, x)
    return model.get_metrics_result()
