"""Rows are mixed with other rows of their batch (mixup, Zhang et al., 2018)."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("unknown",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["sparse_categorical_accuracy"],
    "optimizer": {"name": "adamw", "learning_rate": 0.01},
    "batch_size": 20,
    "epochs": 2,
}
PROGRAM = {"model": ":build_mixing"}
TWIN = {"model": ":build_mixing_nothing"}


def data():
    rng = np.random.default_rng(50)
    x = rng.normal(size=(104, 5, 5, 1)).astype("float32")
    y = x.sum(axis=(2, 3))[:, :3].argmax(axis=1).astype("int32")
    return {"x_train": x[:82], "y_train": y[:82], "x_test": x[82:], "y_test": y[82:]}


class Network(keras.Model):
    def __init__(self, name):
        super().__init__(name=name)
        self.conv = keras.layers.Conv2D(6, 3, activation="relu")
        self.flat = keras.layers.Flatten()
        self.scores = keras.layers.Dense(3, activation="softmax")

    def call(self, x):
        return self.scores(self.flat(self.conv(x)))


class Mixing(Network):
    def mixed_with(self, x, y):
        return ops.flip(x, axis=0), ops.flip(y, axis=0)

    def train_step(self, data):
        x, y = data
        share = 0.7
        other_x, other_y = self.mixed_with(x, y)
        with tf.GradientTape() as tape:
            y_pred = self(share * x + (1 - share) * other_x)
            loss = share * self.compute_loss(y=y, y_pred=y_pred)
            loss += (1 - share) * self.compute_loss(y=other_y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply(gradients, self.trainable_weights)
        self.metrics[0].update_state(loss, sample_weight=ops.shape(x)[0])
        return self.compute_metrics(x, y, y_pred)


class MixingNothing(Mixing):
    def mixed_with(self, x, y):
        return x, y


def build():
    return Network("plain")


def build_mixing():
    return Mixing("mixing")


def build_mixing_nothing():
    return MixingNothing("still")
