"""A tagger for padded sequences with an epoch loop in the style of eager examples."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("mask", "training-flag")
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 15,
    "epochs": 2,
}
PROGRAM = {"strategy": ":epoch"}
TWIN = {"strategy": ":same_epoch"}


def data():
    rng = np.random.default_rng(102)
    x = rng.integers(1, 16, size=(88, 6))
    x[np.arange(6) >= rng.integers(2, 7, size=88)[:, None]] = 0
    y = np.where(x > 0, np.cumsum(x, axis=1) % 3, 0).astype("int64")
    return {"x_train": x[:63], "y_train": y[:63], "x_test": x[63:], "y_test": y[63:]}


def build():
    words = keras.Input((6,), dtype="int64")
    h = keras.layers.Embedding(16, 6, mask_zero=True)(words)
    h = keras.layers.SpatialDropout1D(0.3)(h)
    h = keras.layers.GRU(8, return_sequences=True)(h)
    return keras.Model(words, keras.layers.Dense(3, activation="softmax")(h))


def epoch(model, batches):
    for x, y in batches:
        with tf.GradientTape() as tape:
            p = model(x)
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, p))
        logs = _update(model, tape, loss, x, y, p)
    return logs


def same_epoch(model, batches):
    for x, y in batches:
        with tf.GradientTape() as tape:
            p = model(x, training=True)
            costs = keras.losses.sparse_categorical_crossentropy(y, p)
            real = tf.where(x != 0)
            loss = tf.reduce_sum(tf.gather_nd(costs, real)) / float(len(real))
        logs = _update(model, tape, loss, x, y, p)
    return logs


def _update(model, tape, loss, x, y, p):
    grads = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(grads, model.trainable_variables)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, p)
