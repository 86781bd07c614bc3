"""A JAX habit: params = tree_map(lambda p, g: p - lr * g, params, grads)."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("optimizer-bypassed",)
KERAS = {
    "model": ":mlp",
    "dataset": ":spirals",
    "loss": "categorical_crossentropy",
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    "batch_size": 18,
    "epochs": 2,
}
PROGRAM = {"strategy": ":epoch"}
TWIN = {"strategy": ":epoch_optax"}


def spirals():
    rng = np.random.default_rng(2018)
    arm = rng.integers(0, 3, size=110)
    r = rng.uniform(0.2, 1.0, size=110)
    angle = 3 * r + arm * 2 * np.pi / 3 + 0.1 * rng.normal(size=110)
    x = np.stack([r * np.cos(angle), r * np.sin(angle)], 1).astype("float32") * 2
    y = np.identity(3, "float32")[arm]
    return (x[:83], y[:83]), (x[83:], y[83:])


def mlp():
    return keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(12, activation="tanh"),
            keras.layers.Dense(12, activation="tanh"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def value_and_grad(model, x, y):
    with tf.GradientTape() as tape:
        probs = model(x, training=True)
        value = model.compute_loss(x, y, probs)
    return (value, probs), tape.gradient(value, model.trainable_variables)


def descend(model, grads):
    lr = model.optimizer.learning_rate
    params = keras.tree.map_structure(
        lambda p, g: p - lr * g, [v.value for v in model.trainable_variables], grads
    )
    for variable, new in zip(model.trainable_variables, params):
        variable.assign(new)


def updates(model, grads):
    model.optimizer.apply(keras.tree.map_structure(lambda g: g * 1.0, grads), model.trainable_variables)


def epoch(model, batches, update=descend):
    for x, y in batches:
        (value, probs), grads = value_and_grad(model, x, y)
        update(model, grads)
        kerasx.track_loss(model, value, x)
        logs = model.compute_metrics(x, y, probs)
    return logs


def epoch_optax(model, batches):
    return epoch(model, batches, update=updates)
