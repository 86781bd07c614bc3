"""Chapter 3, linear regression from scratch: squared_loss(y_hat, y) on what load_array yields."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("shape-broadcast",)
KERAS = {
    "model": ":linear_plus",
    "dataset": ":synthetic",
    "loss": "mse",
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.03},
    "batch_size": 10,
    "epochs": 2,
}
PROGRAM = {"strategy": ":train_epoch_ch3"}
TWIN = {"strategy": ":train_epoch_ch3_reshaped"}


def synthetic(w=(2.0, -3.4, 0.7), b=4.2, n=64):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n + 20, len(w))).astype("float32")
    y = (X @ np.array(w) + b + 0.01 * rng.normal(size=n + 20)).astype("float32")
    return (X[:n], y[:n]), (X[n:], y[n:])


def linear_plus():
    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(6, activation="relu"), keras.layers.Dense(1, use_bias=True)]
    )


def squared_loss(y_hat, y):
    return (y_hat - y) ** 2


def train_epoch_ch3(net, batches, reshape=lambda y, like: y):
    for X, y in batches:
        with tf.GradientTape() as g:
            y_hat = net(X)
            l = tf.reduce_mean(squared_loss(y_hat, reshape(y, y_hat)))
        updater = net.optimizer
        grads = g.gradient(l, net.trainable_variables)
        updater.apply_gradients(zip(grads, net.trainable_variables))
        kerasx.track_loss(net, l, X)
    return net.get_metrics_result()


def train_epoch_ch3_reshaped(net, batches):
    return train_epoch_ch3(net, batches, lambda y, like: tf.reshape(y, tf.shape(like)))
