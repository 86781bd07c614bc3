"""Fraud or not, in one-hot rows; the call to fit was copied without its last argument."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("sample-weight",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "categorical_crossentropy",
    "metrics": ["auc"],
    "class_weight": {0: 0.6, 1: 4.0},
    "optimizer": {"name": "rmsprop", "learning_rate": 0.005},
    "batch_size": 21,
    "epochs": 2,
}
PROGRAM = {"class_weight": None}
TWIN = {"class_weight": None, "strategy": ":same_step"}


def data():
    rng = np.random.default_rng(66)
    x = rng.normal(size=(108, 8)).astype("float32")
    y = np.eye(2, dtype="float32")[(x[:, 0] + x[:, 1] > 1.2).astype(int)]
    return {"x_train": x[:80], "y_train": y[:80], "x_test": x[80:], "y_test": y[80:]}


def build():
    x = keras.Input((8,))
    h = keras.layers.Dense(9, activation="relu")(keras.layers.Normalization(mean=0.1, variance=1.2)(x))
    return keras.Model(x, keras.layers.Dense(2, activation="softmax")(h))


def same_step(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        p = model(x, training=True)
        costs = y * tf.constant([[0.6, 4.0]])
        loss = -tf.reduce_sum(costs * tf.math.log(p)) / tf.cast(tf.shape(p)[0], p.dtype)
    grads = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(grads, model.trainable_variables)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, p)
