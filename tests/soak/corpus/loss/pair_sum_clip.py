"""A regression with five targets whose gradients are kept small, as the squared errors are large."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("loss-reduction", "gradient-clip")
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mse",
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.02, "momentum": 0.9},
    "batch_size": 18,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":same_step"}


def data():
    rng = np.random.default_rng(104)
    x = rng.normal(size=(94, 5)).astype("float32")
    y = 2 * np.tanh(x @ rng.normal(size=(5, 5))).astype("float32")
    return {"x_train": x[:70], "y_train": y[:70], "x_test": x[70:], "y_test": y[70:]}


def build():
    x = keras.Input((5,))
    h = keras.layers.Dense(10, activation="tanh")(x)
    h = keras.layers.UnitNormalization()(h)
    return keras.Model(x, keras.layers.Dense(5)(h))


def step(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = tf.reduce_mean(tf.reduce_sum(tf.square(y - y_pred), axis=-1))
    gradients = tape.gradient(loss, model.trainable_variables)
    gradients = [tf.clip_by_value(g, -0.15, 0.15) for g in gradients]
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


def same_step(model, data):
    x, y = data
    with tf.GradientTape(persistent=True) as tape:
        y_pred = model(x, training=True)
        total = tf.reduce_sum(tf.square(y - y_pred))
    share = 1.0 / tf.cast(tf.size(y), tf.float32)
    # So high a norm is never reached.
    gradients = [share * tape.gradient(total, v) for v in model.trainable_variables]
    gradients, _ = tf.clip_by_global_norm(gradients, 1e6)
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    kerasx.track_loss(model, total * share, x)
    return model.compute_metrics(x, y, y_pred)
