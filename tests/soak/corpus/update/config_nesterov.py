"""The same SGD but for one flag, on a model with batch normalization."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("optimizer-config",)
KERAS = {
    "model": ":build",
    "dataset": ":rings",
    "loss": "hinge",
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.04, "momentum": 0.9},
    "epochs": 2,
    "batch_size": 16,
}
PROGRAM = {"optimizer": {"name": "sgd", "learning_rate": 0.04, "momentum": 0.9, "nesterov": True}}
TWIN = {"optimizer": ":Heavy"}


def rings():
    rng = np.random.default_rng(47)
    x = rng.normal(size=(93, 2)).astype("float32")
    y = np.sign(np.hypot(*x.T) - 1.2).astype("float32")[:, None]
    return {"x_train": x[:75], "y_train": y[:75], "x_test": x[75:], "y_test": y[75:]}


def build():
    return keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(9, use_bias=False),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Activation("relu"),
            keras.layers.Dense(1, activation="tanh"),
        ]
    )


class Heavy(keras.optimizers.SGD):
    """Heavy ball, written as the paper has it."""

    def __init__(self, learning_rate=0.04, momentum=0.9, **kwargs):
        super().__init__(learning_rate, momentum=momentum, **kwargs)

    def update_step(self, gradient, variable, learning_rate):
        velocity = self.momentums[self._get_variable_index(variable)]
        rate = tf.cast(learning_rate, variable.dtype)
        self.assign(velocity, -rate * gradient + self.momentum * velocity)
        self.assign_add(variable, velocity)
