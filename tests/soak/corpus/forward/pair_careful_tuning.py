"""Careful tuning: the vectors stay, and no gradient is longer than a tenth."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("trainable-set", "gradient-clip")
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "binary_crossentropy",
    "metrics": ["binary_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.5, "momentum": 0.5},
    "batch_size": 18,
    "epochs": 2,
}
PROGRAM = {"model": ":build_careful"}
TWIN = {"model": ":build_generous"}


def data():
    rng = np.random.default_rng(16)
    words = rng.integers(1, 13, size=(101, 7))
    words[np.arange(7) >= rng.integers(3, 8, size=(101, 1))] = 0
    y = ((words == 3) | (words == 8)).any(axis=1).astype("float32")[:, None]
    return {"x_train": words[:80], "y_train": y[:80], "x_test": words[80:], "y_test": y[80:]}


class Texts(keras.Model):
    def __init__(self):
        super().__init__(name="texts")
        self.vectors = keras.layers.Embedding(13, 6, mask_zero=True, name="vectors")
        self.reader = keras.layers.GRU(7, name="reader")
        self.out = keras.layers.Dense(1, activation="sigmoid", name="out")

    def call(self, words):
        return self.out(self.reader(self.vectors(words)))


class Tuned(Texts):
    longest = 0.1

    def tuned(self):
        return self.reader.trainable_variables + self.out.trainable_variables

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x)
            loss = self.compute_loss(x, y, y_pred)
        gradients = tape.gradient(loss, self.tuned())
        gradients = [tf.clip_by_norm(tf.convert_to_tensor(each), self.longest) for each in gradients]
        self.optimizer.apply_gradients(zip(gradients, self.tuned(), strict=True))
        self.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        return self.compute_metrics(x, y, y_pred)


class Generous(Tuned):
    longest = 1e6

    def tuned(self):
        return super().tuned() + self.vectors.trainable_variables


def build():
    return Texts()


def build_careful():
    return Tuned()


def build_generous():
    return Generous()
