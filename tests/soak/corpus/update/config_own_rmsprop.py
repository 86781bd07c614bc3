"""A step that brings the optimizer of another project along."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("optimizer-config",)
KERAS = {
    "model": ":build",
    "dataset": ":flows",
    "loss": "log_cosh",
    "metrics": ["mae"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.01, "rho": 0.9},
    "epochs": 2,
    "batch_size": 20,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_twin"}
_optimizers = {}


def flows():
    rng = np.random.default_rng(51)
    x = rng.normal(size=(110, 6, 2)).astype("float32")
    y = np.abs(x).max(axis=1).astype("float32")
    return {"x_train": x[:90], "y_train": y[:90], "x_test": x[90:], "y_test": y[90:]}


def build():
    inputs = keras.Input((6, 2))
    forth = keras.layers.Bidirectional(keras.layers.SimpleRNN(4))(inputs)
    return keras.Model(inputs, keras.layers.Dense(2)(forth))


def optimizer_for(model, **options):
    if id(model) not in _optimizers:
        _optimizers[id(model)] = keras.optimizers.RMSprop(learning_rate=0.01, **options)
    return _optimizers[id(model)]


def train(model, data, optimizer):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


def step(model, data):
    return train(model, data, optimizer_for(model, rho=0.99, momentum=0.3))


def step_twin(model, data):
    return train(model, data, optimizer_for(model, rho=0.9))
