"""Rows without a valid target have weight 0; the step still uses TensorFlow 1's weighted losses."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("weight-normalization",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "adagrad", "learning_rate": 0.1},
    "batch_size": 20,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":same_step"}


def data():
    rng = np.random.default_rng(70)
    x = rng.normal(size=(100, 6)).astype("float32")
    y = (x[:, :3] + 0.5 * x[:, 3:] ** 2).astype("float32")
    valid = (rng.uniform(size=100) < 0.55).astype("float32")
    return {"x_train": x[:73], "y_train": y[:73], "sample_weight_train": valid[:73]}


def build():
    x = keras.Input((6,))
    h = keras.layers.Dense(8, activation="relu")(x)
    h = keras.layers.Concatenate()([x, h])
    return keras.Model(x, keras.layers.Dense(3)(h))


def _step(model, data, reduction):
    x, y, valid = data
    with tf.GradientTape() as tape:
        out = model(x, training=True)
        loss = tf.compat.v1.losses.mean_squared_error(
            y, out, weights=tf.expand_dims(valid, -1), reduction=reduction
        )
    grads = tape.gradient(loss, model.trainable_weights)
    model.optimizer.apply_gradients(zip(grads, model.trainable_weights, strict=True))
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, out, valid)


def step(model, data):
    return _step(model, data, tf.compat.v1.losses.Reduction.SUM_BY_NONZERO_WEIGHTS)


def same_step(model, data):
    return _step(model, data, tf.compat.v1.losses.Reduction.SUM_OVER_BATCH_SIZE)
