"""Another seed for the noise, and a step for the usual pair of inputs and labels."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("rng-stream", "sample-weight")
KERAS = {
    "model": {"name": ":build", "seed": 3},
    "dataset": ":data",
    "loss": "mean_squared_error",
    "metrics": ["mae"],
    "weighted_metrics": ["mse"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"model": {"name": ":build", "seed": 30}, "strategy": ":pair_step"}
TWIN = {"strategy": ":weighed_step"}


def data():
    rng = np.random.default_rng(68)
    x = rng.normal(size=(100, 6)).astype("float32")
    y = np.stack([x.max(axis=1), x.min(axis=1)], axis=1)
    weights = rng.choice([0.2, 1.0, 3.0], size=100).astype("float32")
    rows = {"x_train": x[:77], "y_train": y[:77], "sample_weight_train": weights[:77]}
    return rows | {"x_test": x[77:], "y_test": y[77:], "sample_weight_test": weights[77:]}


def build(seed):
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(18, activation="gelu"),
            keras.layers.GaussianDropout(0.3, seed=seed),
            keras.layers.Dense(2),
        ]
    )


def _apply(model, tape, loss):
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(gradients, model.trainable_variables)


def pair_step(model, data):
    x, y = data[:2]
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    _apply(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred, data[2])


def weighed_step(model, data):
    x, y, weights = data
    with tf.GradientTape() as tape:
        error = (model_out := model(x, training=True)) - y
        loss = tf.einsum("ij,ij,i->", error, error, weights) / (2.0 * x.shape[0])
    _apply(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, model_out, weights)
