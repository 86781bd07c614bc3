"""A subclassed sequence model with a train_step of its own, written before anybody used float16."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("loss-scale",)
KERAS = {
    "model": ":build",
    "dataset": ":waves",
    "loss": "mae",
    "metrics": ["mse"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "epochs": 2,
    "batch_size": 13,
    "precision": "mixed_float16",
}
PROGRAM = {"model": ":build_old"}
TWIN = {"model": ":build_new"}


def waves():
    rng = np.random.default_rng(15)
    phase = rng.uniform(0, 6, size=(88, 1))
    wave = np.sin(phase + np.arange(9) * 0.7)[..., None].astype("float32")
    return {
        "x_train": wave[:70, :8],
        "y_train": wave[:70, 8],
        "x_test": wave[70:, :8],
        "y_test": wave[70:, 8],
    }


class Old(keras.Model):
    def differentiated(self, loss):
        return loss

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            forecast = self(x, training=True)
            loss = self.compute_loss(x, y, forecast)
            objective = self.differentiated(loss)
        weights = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(objective, weights), weights, strict=True))
        kerasx.track_loss(self, loss, x)
        return self.compute_metrics(x, y, forecast)


class New(Old):
    def differentiated(self, loss):
        halves = self.optimizer.scale_loss(keras.ops.stack([loss * 0.5, loss * 0.5]))
        return keras.ops.sum(halves)


def graph(kind):
    inputs = keras.Input((8, 1))
    states = keras.layers.GRU(6, return_sequences=True)(inputs)
    pooled = keras.layers.GlobalMaxPooling1D()(states)
    return kind(inputs, keras.layers.Dense(1, dtype="float32")(pooled))


def build():
    return graph(keras.Model)


def build_old():
    return graph(Old)


def build_new():
    return graph(New)
