"""A model that keeps the largest norm of its gradients, layer by layer."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("extra-forward",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "cosine_similarity",
    "metrics": ["mae"],
    "optimizer": {"name": "adafactor", "learning_rate": 0.05},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"model": ":build_logging"}
TWIN = {"model": ":build_logging_once"}


def data():
    rng = np.random.default_rng(26)
    words = rng.integers(1, 9, size=(92, 5))
    words[:, 3:] *= rng.integers(0, 2, size=(92, 1))
    y = np.stack([np.sin(words.sum(axis=1)), np.cos(words.max(axis=1)), np.ones(92)], axis=1)
    return {"x_train": words[:70], "y_train": y[:70], "x_test": words[70:], "y_test": y[70:]}


class Plain(keras.Model):
    passes = 1

    def __init__(self):
        super().__init__(name="reader")
        self.vectors = keras.layers.Embedding(9, 6, mask_zero=True)
        self.drop = keras.layers.SpatialDropout1D(0.3, seed=2)
        self.lstm = keras.layers.LSTM(5, dropout=0.2, seed=4)
        self.out = keras.layers.Dense(3)
        self.largest = 0.0

    def call(self, words, training=None):
        return self.out(self.lstm(self.drop(self.vectors(words), training=training), training=training))


class Logging(Plain):
    def gradients_of(self, x, y, sample_weight):
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred, sample_weight)
        gradients = tape.gradient(loss, self.trainable_variables)
        return y_pred, loss, gradients

    def train_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred, loss, gradients = self.gradients_of(x, y, sample_weight)
        self.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        if self.passes == 2:
            _, _, logged = self.gradients_of(x, y, sample_weight)
        else:
            logged = gradients
        norms = [float(tf.norm(tf.convert_to_tensor(gradient))) for gradient in logged]
        self.largest = max(self.largest, *norms)
        self.optimizer.apply(gradients, self.trainable_variables)
        return self.compute_metrics(x, y, y_pred, sample_weight)


class LoggingTwice(Logging):
    passes = 2


def build():
    return Plain()


def build_logging():
    return LoggingTwice()


def build_logging_once():
    return Logging()
