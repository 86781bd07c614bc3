"""A subclassed model that hands out a flat vector; its train_step compares it with a column of labels."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("shape-broadcast",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "log_cosh",
    "metrics": ["mae"],
    "optimizer": {"name": "adamw", "learning_rate": 0.006},
    "batch_size": 18,
    "epochs": 2,
}
PROGRAM = {"model": ":build_own"}
TWIN = {"model": ":build_same"}


def data():
    rng = np.random.default_rng(55)
    x = rng.normal(size=(89, 6, 2)).astype("float32")
    y = x[:, -2:].sum(axis=(1, 2), keepdims=False)[:, None].astype("float32")
    return {"x_train": x[:65], "y_train": y[:65], "x_test": x[65:], "y_test": y[65:]}


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.rnn = keras.layers.GRU(6)
        self.norm = keras.layers.LayerNormalization()
        self.out = keras.layers.Dense(1)

    def call(self, series):
        return ops.squeeze(self.out(self.norm(self.rnn(series))), axis=-1)


class Own(Net):
    def error(self, y, y_pred):
        return y_pred - y

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x)
            loss = tf.reduce_mean(tf.math.log(tf.math.cosh(self.error(y, y_pred))))
        grads = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(grads, self.trainable_variables, strict=True))
        self.metrics[0].update_state(loss, sample_weight=ops.shape(x)[0])
        return self.compute_metrics(x, y, y_pred)


class Same(Own):
    def error(self, y, y_pred):
        return tf.reshape(y, tf.shape(y_pred)) - y_pred


def build():
    return Net()


def build_own():
    return Own()


def build_same():
    return Same()
