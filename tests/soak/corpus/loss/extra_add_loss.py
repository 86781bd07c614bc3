"""A variational autoencoder for vectors; the layer that samples adds the divergence, train_step is own."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("loss-extra",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mse",
    "metrics": [],
    "optimizer": {"name": "adam", "learning_rate": 0.01, "beta_1": 0.8},
    "batch_size": 21,
    "epochs": 2,
}
PROGRAM = {"model": ":build_vae"}
TWIN = {"model": ":build_same"}


def data():
    rng = np.random.default_rng(6)
    x = (rng.normal(size=(97, 2)) @ rng.normal(size=(2, 8))).astype("float32")
    return {"x_train": x[:73], "y_train": x[:73], "x_test": x[73:], "y_test": x[73:]}


class Sampling(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.noise = keras.random.SeedGenerator(99)

    def call(self, inputs):
        mean, log_var = inputs
        self.add_loss(-0.05 * ops.mean(1 + log_var - ops.square(mean) - ops.exp(log_var)))
        return mean + ops.exp(0.5 * log_var) * keras.random.normal(ops.shape(mean), seed=self.noise)


class VAE(keras.Model):
    adds = False

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            reconstruction = self(x, training=True)
            loss = tf.reduce_mean(tf.square(y - reconstruction))
            if self.adds:
                loss = tf.reduce_sum(tf.stack([*self.losses, loss]))
        grads = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(grads, self.trainable_weights, strict=True))
        self.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        return self.compute_metrics(x, y, reconstruction)


class Same(VAE):
    adds = True


def _network(kind):
    x = keras.Input((8,))
    h = keras.layers.Dense(9, activation="relu")(x)
    z = Sampling()([keras.layers.Dense(3)(h), keras.layers.Dense(3)(h)])
    return kind(x, keras.layers.Dense(8)(keras.layers.Dense(9, activation="relu")(z)))


def build():
    return _network(keras.Model)


def build_vae():
    return _network(VAE)


def build_same():
    return _network(Same)
