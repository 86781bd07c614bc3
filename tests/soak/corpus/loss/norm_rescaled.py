"""Inverse-frequency weights, brought to an average of one in each batch before Keras sees them."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("weight-normalization",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "binary_crossentropy",
    "metrics": ["binary_accuracy"],
    "optimizer": {"name": "nadam", "learning_rate": 0.004},
    "batch_size": 13,
    "epochs": 2,
}
PROGRAM = {"model": ":build_balanced"}
TWIN = {"model": ":build_same"}


def data():
    rng = np.random.default_rng(64)
    x = rng.normal(size=(84, 4, 4, 2)).astype("float32")
    y = (x.sum(axis=(1, 2, 3))[:, None] > 3).astype("float32")
    weight = np.where(y[:, 0] > 0, 1 / y.mean(), 0.5 / (1 - y.mean())).astype("float32")
    return {
        "x_train": x[:58],
        "y_train": y[:58],
        "sample_weight_train": weight[:58],
        "x_test": x[58:],
        "y_test": y[58:],
    }


class Balanced(keras.Model):
    def prepared(self, weight):
        return weight / tf.reduce_mean(weight)

    def train_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred, self.prepared(sample_weight))
        grads = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(grads, self.trainable_variables, strict=True))
        self.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        return self.compute_metrics(x, y, y_pred, sample_weight)


class Same(Balanced):
    def prepared(self, weight):
        largest = tf.reduce_max(weight)
        return tf.exp(tf.math.log(weight / largest)) * largest


def _network(kind):
    image = keras.Input((4, 4, 2))
    h = keras.layers.DepthwiseConv2D(2, depth_multiplier=2)(image)
    h = keras.layers.GroupNormalization(2)(h)
    h = keras.layers.Flatten()(keras.layers.Activation("relu")(h))
    return kind(image, keras.layers.Dense(1, activation="sigmoid")(h))


def build():
    return _network(keras.Model)


def build_balanced():
    return _network(Balanced)


def build_same():
    return _network(Same)
