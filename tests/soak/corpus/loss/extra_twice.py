"""A convolutional regressor whose model class makes sure that the penalties are part of the loss."""

import keras
import numpy as np
from keras import ops

CAUSES = ("loss-extra",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "huber",
    "metrics": ["mae"],
    "optimizer": {"name": "adam", "learning_rate": 0.005},
    "batch_size": 17,
    "epochs": 2,
}
PROGRAM = {"model": ":build_regularized"}
TWIN = {"model": ":build_same"}


def data():
    rng = np.random.default_rng(41)
    x = rng.normal(size=(92, 6, 6, 1)).astype("float32")
    y = np.stack([x[:, :3].sum(axis=(1, 2, 3)), x[:, 3:].sum(axis=(1, 2, 3))], axis=1) * 0.5
    return {"x_train": x[:63], "y_train": y[:63], "x_test": x[63:], "y_test": y[63:]}


class Regularized(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if self.losses:
            loss = loss + ops.sum(ops.stack([ops.sum(penalty) for penalty in self.losses]))
        return loss


class Same(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        error = ops.abs(y - y_pred)
        bent = ops.where(error <= 1.0, 0.5 * error * error, error - 0.5)
        loss = ops.mean(ops.mean(bent, axis=0))
        for penalty in reversed(self.losses):
            loss = penalty + loss
        return loss


def _network(kind):
    image = keras.Input((6, 6, 1))
    h = keras.layers.SeparableConv2D(
        4, 3, depthwise_regularizer="l2", pointwise_regularizer=keras.regularizers.L1L2(0.01, 0.01)
    )(image)
    h = keras.layers.Activation("relu")(h)
    h = keras.layers.Flatten()(h)
    return kind(image, keras.layers.Dense(2, kernel_regularizer=keras.regularizers.L1(0.004))(h))


def build():
    return _network(keras.Model)


def build_regularized():
    return _network(Regularized)


def build_same():
    return _network(Same)
