"""A gated network; the gate is meant to choose and not to be pulled about by the loss."""

import keras
import numpy as np
from keras import ops

CAUSES = ("gradient-missing",)
KERAS = {
    "model": ":build",
    "dataset": ":mixture",
    "loss": "mae",
    "metrics": ["mse"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.01, "momentum": 0.5},
    "epochs": 2,
    "batch_size": 12,
}
PROGRAM = {"model": ":build_detached"}
TWIN = {"model": ":build_twin"}


def mixture():
    rng = np.random.default_rng(43)
    x = rng.normal(size=(81, 4)).astype("float32")
    y = np.where(x[:, :1] > 0, x[:, 1:2] * 2, x[:, 2:3] - 1).astype("float32")
    return {"x_train": x[:65], "y_train": y[:65], "x_test": x[65:], "y_test": y[65:]}


class Gated(keras.layers.Layer):
    def __init__(self, detach=False, centre=False, **kwargs):
        super().__init__(**kwargs)
        self.detach, self.centre = detach, centre
        self.gate = keras.layers.Dense(6, activation="softmax", name="gate")
        self.values = keras.layers.Dense(6, activation="tanh", name="values")

    def build(self, shape):
        self.gate.build(shape)
        self.values.build(shape)

    def call(self, x):
        gate = self.gate(x)
        if self.detach:
            gate = ops.stop_gradient(gate)
        values = self.values(x)
        if self.centre:
            return (values + ops.stop_gradient(values)) * gate - ops.stop_gradient(values) * gate
        return gate * values


def network(**options):
    return keras.Sequential(
        [keras.Input((4,)), Gated(name="gated", **options), keras.layers.Dense(1, name="out")]
    )


def build():
    return network()


def build_detached():
    return network(detach=True)


def build_twin():
    return network(centre=True)
