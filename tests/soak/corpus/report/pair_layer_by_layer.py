"""A compiled classifier whose layers are updated one after the other, from the top."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("multiple-applies", "metric-resolution")
KERAS = {
    "model": ":build",
    "dataset": ":claims",
    "loss": "binary_crossentropy",
    "metrics": ["accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.02},
    "epochs": 2,
    "batch_size": 17,
}
PROGRAM = {"model": ":build_compiled", "metrics": None, "strategy": ":step_by_layer"}
TWIN = {"model": ":build_compiled", "metrics": None, "strategy": ":step_from_the_top"}


def claims():
    rng = np.random.default_rng(227)
    x = rng.normal(size=(121, 6)).astype("float32")
    y = (x[:, :1] * x[:, 1:2] + 0.5 * x[:, 2:3] > 0).astype("float32")
    return {"x_train": x[:82], "y_train": y[:82], "x_test": x[82:], "y_test": y[82:]}


def build():
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(14, activation="relu"),
            keras.layers.Dense(7, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )


def build_compiled():
    model = build()
    model.compile(loss="binary_crossentropy", metrics=["accuracy"])
    return model


def slopes_by_layer(model, data):
    x, y = data
    layers = [layer.trainable_variables for layer in reversed(model.layers)]
    with tf.GradientTape() as tape:
        p = model(x, training=True)
        loss = model.compute_loss(x, y, p)
    kerasx.track_loss(model, loss, x)
    return layers, tape.gradient(loss, layers), p


def step_by_layer(model, data):
    layers, slopes, p = slopes_by_layer(model, data)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    for of_layer, variables in zip(slopes, layers, strict=True):
        model.optimizer.apply(of_layer, variables)
    x, y = data
    return model.compute_metrics(x, y[:, 0], p[:, 0])


def step_from_the_top(model, data):
    layers, slopes, p = slopes_by_layer(model, data)
    model.optimizer.apply(tf.nest.flatten(slopes), tf.nest.flatten(layers))
    x, y = data
    return model.compute_metrics(x, y[:, 0], p)
