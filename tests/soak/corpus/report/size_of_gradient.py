"""Watches the size of the gradient while a classifier is trained, in training and test logs alike."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("loss-report-last-batch",)
KERAS = {
    "model": ":build",
    "dataset": ":sentences",
    "loss": {"name": "categorical_crossentropy", "label_smoothing": 0.1},
    "metrics": [],
    "optimizer": {"name": "lion", "learning_rate": 0.003},
    "epochs": 2,
    "batch_size": 22,
}
PROGRAM = {"strategy": {"name": "custom-step", "step": ":watched_step", "test_step": ":watched_test"}}
TWIN = {"strategy": {"name": "custom-step", "step": ":quiet_step", "test_step": ":quiet_test"}}

largest = tf.Variable(0.0, trainable=False)


def sentences():
    rng = np.random.default_rng(83)
    x = rng.integers(0, 20, size=(145, 9)).astype("int32")
    kind = (x > 14).sum(axis=1).clip(1, 4) - 1
    y = np.eye(4, dtype="float32")[kind]
    return {"x_train": x[:98], "y_train": y[:98], "x_test": x[98:], "y_test": y[98:]}


def build():
    words = keras.Input((9,), dtype="int32")
    hidden = keras.layers.Embedding(20, 8)(words)
    hidden = keras.layers.MultiHeadAttention(2, 4)(hidden, hidden)
    hidden = keras.layers.GlobalMaxPooling1D()(hidden)
    return keras.Model(words, keras.layers.Dense(4, activation="softmax")(hidden))


def learn(model, x, y):
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(gradients, model.trainable_variables)
    return y_pred, loss, tf.linalg.global_norm(gradients)


def watched_step(model, data):
    _, loss, norm = learn(model, *data)
    return {"loss": loss, "gradient_norm": norm}


def watched_test(model, data):
    x, y = data
    y_pred = model(x, training=False)
    loss = model.compute_loss(x, y, y_pred, training=False)
    return {"loss": loss, "output_norm": tf.norm(y_pred)}


def quiet_step(model, data):
    y_pred, loss, norm = learn(model, *data)
    largest.assign(tf.maximum(largest, norm))
    kerasx.track_loss(model, loss, data[0])
    return model.compute_metrics(*data, y_pred)


def quiet_test(model, data):
    x, y = data
    y_pred = model(x, training=False)
    largest.assign(tf.maximum(largest, tf.norm(y_pred)))
    kerasx.track_loss(model, model.compute_loss(x, y, y_pred, training=False), x)
    return {metric.name: metric.result() for metric in model.metrics}
