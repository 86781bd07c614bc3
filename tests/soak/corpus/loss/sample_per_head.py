"""Two targets of which one is often unknown; the trainer hands each head its own weights."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("sample-weight",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": {"dose": "mae", "risk": "mse"},
    "metrics": {"dose": ["mse"], "risk": ["mae"]},
    "optimizer": {"name": "ftrl", "learning_rate": 0.1},
    "batch_size": 15,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":same_step"}


def data():
    rng = np.random.default_rng(44)
    x = rng.normal(size=(94, 5)).astype("float32")
    y = {"dose": np.tanh(x[:, :2]), "risk": x[:, 2:3] * 0.7}
    known = (rng.uniform(size=94) < 0.6).astype("float32")
    trust = rng.uniform(0.2, 2.0, size=94).astype("float32")
    weight = {"dose": trust, "risk": known}
    train = slice(None, 67), slice(67, None)
    return {
        "x_train": x[train[0]],
        "y_train": {name: each[train[0]] for name, each in y.items()},
        "sample_weight_train": {name: each[train[0]] for name, each in weight.items()},
        "x_test": x[train[1]],
        "y_test": {name: each[train[1]] for name, each in y.items()},
        "sample_weight_test": {name: each[train[1]] for name, each in weight.items()},
    }


def build():
    x = keras.Input((5,))
    h = keras.layers.Dense(10, activation="sigmoid")(x)
    dose, risk = keras.layers.Dense(2, name="dose")(h), keras.layers.Dense(1, name="risk")(h)
    return keras.Model(x, {"dose": dose, "risk": risk})


def step(model, data):
    x, y, weights = data
    with tf.GradientTape() as tape:
        out = model(x, training=True)
        loss = model.compute_loss(x, y, out, {"dose": None, "risk": weights["risk"]})
    grads = tape.gradient(loss, model.trainable_weights)
    model.optimizer.apply_gradients(zip(grads, model.trainable_weights, strict=True))
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, out, weights)


def same_step(model, data):
    x, y, weights = data
    with tf.GradientTape() as tape:
        out = model(x, training=True)
        model.compute_loss(x, y, out, weights)
        dose = tf.reduce_mean(tf.abs(y["dose"] - out["dose"]) * weights["dose"][:, tf.newaxis])
        risk = tf.tensordot(weights["risk"], (y["risk"] - out["risk"])[:, 0] ** 2, 1) / len(x)
    # One tape for the sum of both, which is all that the optimizer sees.
    grads = tape.gradient([risk, dose], model.trainable_weights)
    model.optimizer.apply_gradients(zip(grads, model.trainable_weights, strict=True))
    kerasx.track_loss(model, risk + dose, x)
    return model.compute_metrics(x, y, out, weights)
