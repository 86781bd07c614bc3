"""Port from torch: self.train() in the constructor, self.eval() for validation."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("training-flag",)
KERAS = {
    "model": ":reference",
    "dataset": ":spectra",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 22,
    "epochs": 2,
}
PROGRAM = {"model": ":ported"}
TWIN = {"model": ":ported_with_care"}


def spectra():
    rng = np.random.default_rng(64)
    amount = rng.uniform(size=(97, 2))
    grid = np.linspace(-1, 1, 14)
    peaks = np.stack([np.exp(-((grid - 0.4) ** 2) / 0.1), np.exp(-((grid + 0.3) ** 2) / 0.05)])
    x = (amount @ peaks + 0.03 * rng.normal(size=(97, 14))).astype("float32")
    y = amount.astype("float32")
    return {"x_train": x[:76], "y_train": y[:76], "x_test": x[76:], "y_test": y[76:]}


class Net(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.fc1 = keras.layers.Dense(12, activation="relu")
        self.drop = keras.layers.Dropout(0.4, seed=21)
        self.fc2 = keras.layers.Dense(2)

    def call(self, x, training=False):
        return self.fc2(self.drop(self.fc1(x), training=training))


class TorchNet(Net):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.mode(True)

    def mode(self, on):
        self.is_training = on

    def eval(self):
        self.mode(False)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_hat = self(x, training=self.is_training)
            loss = self.compute_loss(x, y, y_hat)
        self.optimizer.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
        self.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        return self.compute_metrics(x, y, y_hat)

    def test_step(self, data):
        self.eval()
        x, y = data
        y_hat = self(x, training=self.is_training)
        loss = self.compute_loss(x, y, y_hat)
        self.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        return self.compute_metrics(x, y, y_hat)


class CarefulNet(TorchNet):
    def train_step(self, data):
        self.mode(True)
        return super().train_step(data)


def reference():
    return Net(name="net")


def ported():
    return TorchNet(name="net")


def ported_with_care():
    return CarefulNet(name="net")
