"""The output starts at the frequencies of the classes, and the rest as He et al. have it."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("initial-weights",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
    "metrics": ["sparse_categorical_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.5},
    "batch_size": 19,
    "epochs": 2,
}
PROGRAM = {"model": ":build_fitted"}
TWIN = {"model": ":build_renamed"}


def data():
    rng = np.random.default_rng(12)
    x = rng.normal(size=(104, 6)).astype("float32")
    y = np.searchsorted([-0.5, 1.2], x[:, 0] + 0.4 * x[:, 1]).astype("int32")
    return {"x_train": x[:81], "y_train": y[:81], "x_test": x[81:], "y_test": y[81:]}


class Classifier(keras.Model):
    def __init__(self, kernel="glorot_uniform", bias="zeros", **options):
        super().__init__(**options)
        self.stem = keras.layers.Dense(13, activation="relu", kernel_initializer=kernel)
        self.norm = keras.layers.BatchNormalization(momentum=0.9)
        self.scores = keras.layers.Dense(3, bias_initializer=bias)

    def call(self, x, training=False):
        return self.scores(self.norm(self.stem(x), training=training))


def build():
    return Classifier()


def build_fitted():
    counts = np.bincount(data()["y_train"], minlength=3)
    bias = keras.initializers.Constant(np.log(counts / counts.sum()))
    return Classifier(kernel=keras.initializers.HeNormal(seed=1), bias=bias, name="fitted")


class Renamed(Classifier):
    """With a step of its own that takes everything apart."""

    def train_step(self, data):
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in self.trainable_variables])
            y_pred = self(x, training=True)
            logs = y_pred - tf.reduce_logsumexp(y_pred, axis=-1, keepdims=True)
            loss = -tf.reduce_mean(tf.reduce_sum(tf.one_hot(y, 3) * logs, axis=-1))
        gradients = tape.gradient(loss, [variable.value for variable in self.trainable_variables])
        self.optimizer.apply(gradients, self.trainable_variables)
        self.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        return self.compute_metrics(x, y, y_pred, sample_weight=weights)


def build_renamed():
    return Renamed(name="renamed")
