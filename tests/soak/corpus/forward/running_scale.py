"""A layer that divides by a running scale of its inputs."""

import keras
import numpy as np
from keras import ops

CAUSES = ("state-not-updated",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "huber",
    "metrics": ["mae"],
    "optimizer": {"name": "nadam", "learning_rate": 0.01},
    "batch_size": 15,
    "epochs": 2,
}
PROGRAM = {"model": ":build_idle"}
TWIN = {"model": ":build_rearranged"}


def data():
    rng = np.random.default_rng(10)
    x = (rng.normal(size=(97, 6, 2)) * [1, 20]).astype("float32")
    y = x[:, :, 0].sum(axis=1, keepdims=True) + x[:, -1:, 1] / 20
    return {"x_train": x[:71], "y_train": y[:71], "x_test": x[71:], "y_test": y[71:]}


class RunningScale(keras.layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", trainable=False, name="scale")

    def update(self, found):
        self.scale.assign(0.9 * self.scale + 0.1 * found)

    def call(self, x, training=False):
        scaled = x / self.scale
        if training:
            self.update(ops.mean(ops.abs(x), axis=(0, 1)))
        return scaled


class Idle(RunningScale):
    def update(self, found):
        _ = ops.add(0.9 * self.scale, 0.1 * found)


class Rearranged(RunningScale):
    def update(self, found):
        self.scale.assign_sub((self.scale - found) / 10)

    def call(self, x, training=False):
        kept = ops.reciprocal(ops.convert_to_tensor(self.scale))
        if training:
            self.update(ops.sum(ops.abs(x), axis=(0, 1)) / (ops.shape(x)[0] * ops.shape(x)[1]))
        return ops.multiply(x, kept)


def _network(scaling):
    series = keras.Input((6, 2))
    x = scaling(name="scaling")(series)
    x = keras.layers.SimpleRNN(8)(x)
    return keras.Model(series, keras.layers.Dense(1)(x))


def build():
    return _network(RunningScale)


def build_idle():
    return _network(Idle)


def build_rearranged():
    return _network(Rearranged)
