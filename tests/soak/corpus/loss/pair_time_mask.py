"""Padded trajectories; the squared errors of a trajectory's points are added up, then averaged over them."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("loss-reduction", "mask")
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mse",
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.03, "clipnorm": 5.0},
    "batch_size": 13,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":same_step"}


def data():
    rng = np.random.default_rng(109)
    x = rng.normal(size=(83, 5, 2)).astype("float32")
    x[np.arange(5) >= rng.integers(2, 6, size=83)[:, None]] = 0.0
    y = (x - np.roll(x, 1, axis=1)).astype("float32")
    return {"x_train": x[:60], "y_train": y[:60], "x_test": x[60:], "y_test": y[60:]}


def build():
    return keras.Sequential(
        [
            keras.Input((5, 2)),
            keras.layers.Masking(),
            keras.layers.SimpleRNN(7, return_sequences=True),
            keras.layers.Dense(2),
        ]
    )


def _train(model, x, y, total):
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = total(tf.reduce_mean(tf.math.squared_difference(y, y_pred), axis=-1))
    grads = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


def step(model, data):
    return _train(model, *data, lambda errors: tf.reduce_mean(tf.reduce_sum(errors, axis=1)))


def same_step(model, data):
    x, y = data
    real = tf.cast(tf.reduce_any(x != 0, axis=-1), tf.float32)
    share = real / tf.reduce_sum(real)
    return _train(model, x, y, lambda errors: tf.tensordot(share, errors, axes=2))
