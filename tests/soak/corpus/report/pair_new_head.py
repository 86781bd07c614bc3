"""Only the head is trained, as long as its body is borrowed; what it scores is looked at after the step."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("trainable-set", "metric-after-update")
KERAS = {
    "model": ":build",
    "dataset": ":views",
    "loss": "mae",
    "metrics": ["mse"],
    "optimizer": {"name": "adam", "learning_rate": 0.05},
    "epochs": 2,
    "batch_size": 15,
}
PROGRAM = {"strategy": ":head_step"}
TWIN = {"strategy": ":both_step"}


def views():
    rng = np.random.default_rng(191)
    x = rng.uniform(size=(104, 6, 6, 2)).astype("float32")
    y = (x[:, :3, :, 0].mean(axis=(1, 2)) - x[:, 3:, :, 1].mean(axis=(1, 2)))[:, None]
    y = (10 * y).astype("float32")
    return {"x_train": x[:70], "y_train": y[:70], "x_test": x[70:], "y_test": y[70:]}


def build():
    view = keras.Input((6, 6, 2))
    body = keras.layers.Conv2D(5, 3, strides=2, activation="relu", name="body")(view)
    body = keras.layers.Flatten()(body)
    return keras.Model(view, keras.layers.Dense(1, name="head")(body))


def head_step(model, data):
    x, y = data
    head = model.get_layer("head").trainable_variables
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x, training=True))
    model.optimizer.apply(tape.gradient(loss, head), head)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, model(x, training=True))


def both_step(model, data):
    x, y = data
    head = model.get_layer("head").trainable_variables
    body = model.get_layer("body").trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    slopes = [*tape.gradient(loss, head), *tape.gradient(loss, body)]
    model.optimizer.apply(slopes, [*head, *body])
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)
