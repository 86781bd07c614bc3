"""Who leaves next month: a binary classifier whose steps work with flat vectors."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("metric-resolution",)
KERAS = {
    "model": ":build",
    "dataset": ":customers",
    "loss": "binary_crossentropy",
    "metrics": ["accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "epochs": 2,
    "batch_size": 16,
}
PROGRAM = {
    "model": ":build_compiled",
    "metrics": None,
    "strategy": {"name": "custom-step", "step": ":flat_step", "test_step": ":flat_test_step"},
}
TWIN = {
    "model": ":build_compiled",
    "metrics": None,
    "strategy": {"name": "custom-step", "step": ":column_step", "test_step": ":column_test_step"},
}


def customers():
    rng = np.random.default_rng(11)
    x = rng.normal(size=(115, 6)).astype("float32")
    y = (x[:, 0] - x[:, 1] * x[:, 2] + 0.3 * rng.normal(size=115) > 0).astype("int64")
    return {"x_train": x[:77], "y_train": y[:77], "x_test": x[77:], "y_test": y[77:]}


def build():
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(12, activation="tanh"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )


def build_compiled():
    model = build()
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def train_on(model, data, shape):
    x, y = data
    with tf.GradientTape() as tape:
        probability = model(x, training=True)
        loss = model.compute_loss(x, y, probability)
    weights = model.trainable_variables
    model.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, tf.reshape(y, shape), tf.reshape(probability, shape))


def test_on(model, data, shape):
    x, y = data
    probability = model(x, training=False)
    kerasx.track_loss(model, model.compute_loss(x, y, probability, training=False), x)
    return model.compute_metrics(x, tf.reshape(y, shape), tf.reshape(probability, shape))


def flat_step(model, data):
    return train_on(model, data, [-1])


def flat_test_step(model, data):
    return test_on(model, data, [-1])


def column_step(model, data):
    return train_on(model, data, [-1, 1])


def column_test_step(model, data):
    return test_on(model, data, [-1, 1])
