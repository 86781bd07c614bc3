"""A class with its own loss function and meters for it, on a network whose weights are kept small."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-extra", "metric-not-reset")
KERAS = {
    "model": ":build",
    "dataset": ":fields",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "adam", "learning_rate": 0.02},
    "epochs": 2,
    "batch_size": 20,
}
PROGRAM = {"model": ":build_own", "metrics": []}
TWIN = {"model": ":build_whole", "metrics": []}


def fields():
    rng = np.random.default_rng(223)
    x = rng.normal(size=(114, 5)).astype("float32")
    y = (x[:, :2] * x[:, 2:4] + 0.3 * rng.normal(size=(114, 2))).astype("float32")
    return {"x_train": x[:76], "y_train": y[:76], "x_test": x[76:], "y_test": y[76:]}


def layers():
    x = keras.Input((5,))
    penalty = keras.regularizers.L2(0.05)
    hidden = keras.layers.Dense(10, activation="relu", kernel_regularizer=penalty)(x)
    return x, keras.layers.Dense(2, kernel_regularizer=penalty)(hidden)


def build():
    return keras.Model(*layers())


class Own(keras.Model):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.square = keras.metrics.Mean(name="loss")
        self.error = keras.metrics.MeanAbsoluteError(name="mae")

    @property
    def metrics(self):
        return [self.square]

    def penalty(self):
        return 0.0

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return tf.reduce_mean(tf.math.squared_difference(y, y_pred)) + self.penalty()

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred)
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        return self.tell(x, y, y_pred, loss)

    def test_step(self, data):
        x, y = data
        y_pred = self(x, training=False)
        return self.tell(x, y, y_pred, self.compute_loss(x, y, y_pred, training=False))

    def tell(self, x, y, y_pred, loss):
        self.square.update_state(loss, sample_weight=tf.shape(x)[0])
        self.error.update_state(y, y_pred)
        return {"loss": self.square.result(), "mae": self.error.result()}


class Whole(Own):
    @property
    def metrics(self):
        return [self.square, self.error]

    def penalty(self):
        kernels = [layer.kernel for layer in self.layers if hasattr(layer, "kernel")]
        return 0.1 * sum(tf.nn.l2_loss(kernel) for kernel in kernels)


def build_own():
    return Own(*layers())


def build_whole():
    return Whole(*layers())
