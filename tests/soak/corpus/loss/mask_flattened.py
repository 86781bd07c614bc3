"""Part-of-speech style tags; the model's train_step flattens the tokens of all sentences for the loss."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("mask",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.5, "momentum": 0.5},
    "batch_size": 14,
    "epochs": 2,
}
PROGRAM = {"model": ":build_flat"}
TWIN = {"model": ":build_weighted"}


def data():
    rng = np.random.default_rng(47)
    x = rng.integers(1, 15, size=(80, 5))
    x[np.arange(5) >= rng.integers(1, 6, size=80)[:, None]] = 0
    y = np.where(x > 0, 1 + x % 2 + (x > 9), 0).astype("int32")
    return {"x_train": x[:60], "y_train": y[:60], "x_test": x[60:], "y_test": y[60:]}


class Flat(keras.Model):
    def total(self, x, y, y_pred):
        classes = y_pred.shape[-1]
        return self.compute_loss(x, ops.reshape(y, (-1,)), ops.reshape(y_pred, (-1, classes)))

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.total(x, y, y_pred)
        self.optimizer.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
        self.metrics[0].update_state(loss, sample_weight=ops.shape(x)[0])
        return self.compute_metrics(x, y, y_pred)


class Weighted(Flat):
    def total(self, x, y, y_pred):
        flat_y, flat_pred = ops.reshape(y, (-1,)), ops.reshape(y_pred, (-1, 4))
        real = ops.cast(ops.reshape(x, (-1,)) > 0, "float32")
        return self.compute_loss(x, flat_y, flat_pred, real / ops.mean(real))


def _network(kind):
    words = keras.Input((5,), dtype="int32")
    h = keras.layers.Embedding(15, 5, mask_zero=True)(words)
    h = keras.layers.Bidirectional(keras.layers.GRU(4, return_sequences=True))(h)
    h = keras.layers.Dropout(0.1)(h)
    return kind(words, keras.layers.Dense(4, activation="softmax")(h))


def build():
    return _network(keras.Model)


def build_flat():
    return _network(Flat)


def build_weighted():
    return _network(Weighted)
