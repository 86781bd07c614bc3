"""An embedding model that is trained by the angle to its targets, vectors normalized where they are."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("loss-dtype",)
KERAS = {
    "model": ":build",
    "dataset": ":pairs",
    "loss": "cosine_similarity",
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.5, "momentum": 0.5},
    "epochs": 2,
    "batch_size": 22,
    "precision": "mixed_float16",
}
PROGRAM = {"model": ":build_half"}
TWIN = {"model": ":build_twin"}


def pairs():
    rng = np.random.default_rng(13)
    x = rng.normal(size=(100, 10)).astype("float32")
    y = (np.tanh(x @ rng.normal(size=(10, 48))) * 30).astype("float32")
    return {"x_train": x[:75], "y_train": y[:75], "x_test": x[75:], "y_test": y[75:]}


class Angles(keras.Model):
    def compare(self, y, y_pred):
        return self.compute_loss(y=y, y_pred=y_pred)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = tf.cast(self.compare(y, y_pred), tf.float32)
            scaled = self.optimizer.scale_loss(loss)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(scaled, variables), variables, strict=True))
        self.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        return self.compute_metrics(x, y, y_pred)


class Half(Angles):
    def compare(self, y, y_pred):
        y = tf.cast(y, y_pred.dtype)
        cosine = tf.math.l2_normalize(y, axis=-1) * tf.math.l2_normalize(y_pred, axis=-1)
        return -tf.reduce_mean(tf.reduce_sum(cosine, axis=-1))


class Twin(Angles):
    def compare(self, y, y_pred):
        y_pred = ops.cast(y_pred, "float32")
        product = ops.sum(y * y_pred, axis=-1)
        lengths = ops.sqrt(ops.sum(y * y, axis=-1)) * ops.sqrt(ops.sum(y_pred * y_pred, axis=-1))
        return -ops.mean(product / lengths)


def made(kind):
    inputs = keras.Input((10,))
    hidden = keras.layers.Dense(24, activation="relu")(inputs)
    spread = keras.initializers.RandomNormal(stddev=11.0, seed=4)
    return kind(inputs, keras.layers.Dense(48, kernel_initializer=spread)(hidden))


def build():
    return made(keras.Model)


def build_half():
    return made(Half)


def build_twin():
    return made(Twin)
