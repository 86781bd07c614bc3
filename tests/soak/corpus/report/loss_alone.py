"""An autoencoder with steps of its own, which return the loss: nothing else is of interest."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-report-last-batch",)
KERAS = {
    "model": ":build",
    "dataset": ":waves",
    "loss": "mae",
    "metrics": ["mse"],
    "optimizer": {"name": "nadam", "learning_rate": 0.01},
    "epochs": 2,
    "batch_size": 14,
}
PROGRAM = {"model": ":build_autoencoder"}
TWIN = {"model": ":build_telling_autoencoder"}


def waves():
    rng = np.random.default_rng(71)
    phase = rng.uniform(0, 6, size=(102, 1))
    x = (np.sin(np.arange(12) * 0.7 + phase) * rng.uniform(0.5, 2, size=(102, 1))).astype("float32")
    noisy = (x + 0.1 * rng.normal(size=x.shape)).astype("float32")
    return {"x_train": noisy[:67], "y_train": x[:67], "x_test": noisy[67:], "y_test": x[67:]}


class Network(keras.Model):
    def __init__(self):
        super().__init__()
        self.encoder = keras.Sequential([keras.layers.Dense(6, "tanh"), keras.layers.Dense(3)])
        self.decoder = keras.Sequential([keras.layers.Dense(6, "tanh"), keras.layers.Dense(12)])

    def call(self, x, training=None):
        code = self.encoder(x, training=training)
        self.add_loss(0.01 * tf.reduce_mean(tf.square(code)))
        return self.decoder(code, training=training)


class Autoencoder(Network):
    def train_step(self, data):
        x, clean = data
        with tf.GradientTape() as tape:
            rebuilt = self(x, training=True)
            loss = tf.reduce_mean(tf.abs(rebuilt - clean)) + sum(self.losses)
        slopes = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(slopes, self.trainable_weights, strict=True))
        return self.told(x, clean, rebuilt, loss)

    def test_step(self, data):
        x, clean = data
        rebuilt = self(x, training=False)
        loss = tf.reduce_mean(tf.abs(rebuilt - clean)) + sum(self.losses)
        return self.told(x, clean, rebuilt, loss)

    def told(self, x, clean, rebuilt, loss):
        self.compute_metrics(x, clean, rebuilt)
        return {"loss": loss}


class TellingAutoencoder(Autoencoder):
    def told(self, x, clean, rebuilt, loss):
        self.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        logs = self.compute_metrics(x, clean, rebuilt)
        return {"mse": logs["mse"], "loss": logs["loss"]}


def build():
    return Network()


def build_autoencoder():
    return Autoencoder()


def build_telling_autoencoder():
    return TellingAutoencoder()
