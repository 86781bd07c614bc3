"""Claims frequency: Poisson deviance in actuarial style, every policy weighted by its exposure."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("weight-normalization",)
KERAS = {
    "model": ":frequency",
    "dataset": ":policies",
    "loss": "poisson",
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.5, "nesterov": True},
    "batch_size": 30,
    "epochs": 2,
}
PROGRAM = {"model": ":frequency_glm"}
TWIN = {"model": ":frequency_by_policy"}


def policies():
    rng = np.random.default_rng(1912)
    x = rng.normal(size=(128, 4)).astype("float32")
    exposure = rng.uniform(0.05, 1.0, size=128).astype("float32")
    claims = rng.poisson(np.exp(0.3 + 0.5 * x[:, 0] - 0.4 * x[:, 1] * x[:, 2]) * exposure)
    y = (claims / exposure).astype("float32")[:, None]
    return {
        "x_train": x[:100],
        "y_train": y[:100],
        "sample_weight_train": exposure[:100],
        "x_test": x[100:],
        "y_test": y[100:],
        "sample_weight_test": exposure[100:],
    }


def graph():
    policy = keras.Input((4,))
    h = keras.layers.Dense(8, activation="tanh")(policy)
    return policy, keras.layers.Dense(1, activation="exponential")(h)


class Glm(keras.Model):
    def objective(self, nll, exposure):
        return tf.reduce_sum(exposure * nll) / tf.reduce_sum(exposure)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        nll = tf.reshape(y_pred - y * tf.math.log(y_pred), [-1])
        return self.objective(nll, tf.reshape(sample_weight, [-1]))


class ByPolicy(Glm):
    def objective(self, nll, exposure):
        return tf.tensordot(exposure, nll, axes=1) / tf.cast(tf.size(nll), tf.float32)


def frequency():
    return keras.Model(*graph())


def frequency_glm():
    return Glm(*graph())


def frequency_by_policy():
    return ByPolicy(*graph())
