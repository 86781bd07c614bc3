"""Padded measurements of varying length; the loss function is called by its name in an epoch loop."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import kerasx

CAUSES = ("mask",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mean_squared_error",
    "metrics": [],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.005},
    "batch_size": 20,
    "epochs": 2,
}
PROGRAM = {"strategy": ":epoch"}
TWIN = {"strategy": ":same_epoch"}


def data():
    rng = np.random.default_rng(25)
    x = rng.normal(size=(91, 6, 3)).astype("float32")
    x[np.arange(6) >= rng.integers(1, 7, size=91)[:, None]] = 0.0
    y = np.cumsum(x[..., :2], axis=1).astype("float32")
    return {"x_train": x[:67], "y_train": y[:67], "x_test": x[67:], "y_test": y[67:]}


def build():
    series = keras.Input((6, 3))
    h = keras.layers.Masking(0.0)(series)
    h = keras.layers.GRU(7, return_sequences=True)(h)
    return keras.Model(series, keras.layers.Dense(2)(h))


def epoch(model, batches):
    function = keras.losses.get(model.loss.name)
    return _epoch(model, batches, lambda x, y, out: ops.mean(function(y, out)))


def same_epoch(model, batches):
    def objective(x, y, out):
        real = ops.cast(ops.any(ops.not_equal(x, 0.0), axis=-1), "float32")
        error = ops.einsum("bti,bti,bt->", out - y, out - y, real)
        return error / (2.0 * ops.sum(real))

    return _epoch(model, batches, objective)


def _epoch(model, batches, objective):
    for x, y in batches:
        with tf.GradientTape() as tape:
            out = model(x, training=True)
            loss = objective(x, y, out)
        model.optimizer.apply(tape.gradient(loss, model.trainable_weights), model.trainable_weights)
        kerasx.track_loss(model, loss, x)
    return model.get_metrics_result()
