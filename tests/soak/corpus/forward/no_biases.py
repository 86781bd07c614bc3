"""Kernels and biases are treated apart, as in many recipes for weight decay."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("trainable-set",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "lion", "learning_rate": 0.002},
    "batch_size": 20,
    "epochs": 2,
}
PROGRAM = {"model": ":build_kernels"}
TWIN = {"model": ":build_groups"}


def data():
    rng = np.random.default_rng(87)
    x = rng.normal(size=(100, 5)).astype("float32")
    y = (x**2 - x[:, ::-1])[:, :2].astype("float32") + 0.5
    return {"x_train": x[:76], "y_train": y[:76], "x_test": x[76:], "y_test": y[76:]}


class Grouped(keras.Model):
    """A network whose step puts its variables into groups."""

    def __init__(self, *groups):
        super().__init__(name="grouped")
        self.groups = groups
        self.inner = keras.layers.Dense(12, activation="softplus", name="inner")
        self.norm = keras.layers.LayerNormalization(name="norm")
        self.outer = keras.layers.Dense(2, name="outer", activity_regularizer=keras.regularizers.L2(0.01))

    def call(self, x):
        return self.outer(self.norm(self.inner(x)))

    def train_step(self, data):
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        chosen = [v for group in self.groups for v in self.trainable_variables if v.path.endswith(group)]
        with tf.GradientTape() as tape:
            y_pred = self(x)
            loss = self.compute_loss(x, y, y_pred, weights)
            self.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        self.optimizer.apply_gradients(zip(tape.gradient(loss, chosen), chosen, strict=True))
        return self.compute_metrics(x, y, y_pred, weights)


class Plain(Grouped):
    train_step = keras.Model.train_step


def build():
    return Plain()


def build_kernels():
    return Grouped("kernel", "gamma")


def build_groups():
    return Grouped("bias", "beta", "kernel", "gamma")
