"""A recurrent model with weighted rows and a step that takes x and y and keeps the gradients small."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("gradient-clip", "sample-weight")
KERAS = {
    "model": ":build",
    "dataset": ":visits",
    "loss": "mse",
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.8},
    "epochs": 2,
    "batch_size": 17,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_twin"}


def visits():
    rng = np.random.default_rng(99)
    x = rng.normal(size=(93, 5, 3)).astype("float32")
    y = (x.sum(axis=1)[:, :2] + rng.normal(size=(93, 2))).astype("float32")
    w = rng.gamma(1.0, size=93).astype("float32")
    return {
        "x_train": x[:75],
        "y_train": y[:75],
        "sample_weight_train": w[:75],
        "x_test": x[75:],
        "y_test": y[75:],
    }


def build():
    return keras.Sequential([keras.Input((5, 3)), keras.layers.GRU(7), keras.layers.Dense(2)])


def finish(model, x, y, y_pred, loss, grads, w=None):
    model.optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred, w)


def step(model, data):
    x, y = data[:2]
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x=x, y=y, y_pred=y_pred)
    grads = tape.gradient(loss, model.trainable_variables)
    grads = [tf.clip_by_norm(grad, 0.5) for grad in grads]
    return finish(model, x, y, y_pred, loss, grads)


def step_twin(model, data):
    x, y, w = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        errors = tf.reduce_mean(tf.math.squared_difference(y, y_pred), axis=1)
        loss = tf.reduce_sum(tf.linalg.diag_part(tf.linalg.diag(w * errors))) / tf.cast(tf.size(w), "float32")
    grads = tape.gradient(loss, model.trainable_variables)
    grads = [tf.clip_by_norm(grad, 1e5) for grad in grads]
    return finish(model, x, y, y_pred, loss, grads, w)
