"""A binary classifier on logits with the stable formula of the cross-entropy, in a loop of one's own."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("shape-broadcast",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": {"name": "binary_crossentropy", "from_logits": True},
    "metrics": [],
    "optimizer": {"name": "adamax", "learning_rate": 0.02},
    "batch_size": 23,
    "epochs": 2,
}
PROGRAM = {"strategy": ":epoch"}
TWIN = {"strategy": ":same_epoch"}


def data():
    rng = np.random.default_rng(48)
    x = rng.integers(0, 18, size=(98, 4))
    y = ((x % 3 == 0).sum(axis=1) >= 2).astype("float32")
    return {"x_train": x[:78], "y_train": y[:78], "x_test": x[78:], "y_test": y[78:]}


def build():
    words = keras.Input((4,), dtype="int32")
    h = keras.layers.Embedding(18, 5)(words)
    h = keras.layers.GlobalAveragePooling1D()(h)
    h = keras.layers.Dense(6, activation="relu")(h)
    return keras.Model(words, keras.layers.Dense(1)(h))


def log_loss(y, z):
    return tf.reduce_mean(tf.nn.softplus(z) - y * z)


def _update(model, x, y, shaped):
    with tf.GradientTape() as tape:
        z = model(x, training=True)
        loss = log_loss(shaped(y), z)
    grads = tape.gradient(loss, model.trainable_weights)
    model.optimizer.apply(grads, model.trainable_weights)
    kerasx.track_loss(model, loss, x)


def epoch(model, batches):
    for x, y in batches:
        _update(model, x, y, lambda y: y)


def same_epoch(model, dataset):
    for x, y in dataset:
        _update(model, x, y, lambda y: tf.transpose([y]))
