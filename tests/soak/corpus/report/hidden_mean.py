"""A model class that averages its loss with a meter of its own, and reports what the meter says."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("loss-report-discarded",)
KERAS = {
    "model": ":build",
    "dataset": ":ratings",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "adam", "learning_rate": 0.02},
    "epochs": 2,
    "batch_size": 26,
}
PROGRAM = {"model": ":build_own_mean"}
TWIN = {"model": ":build_mean_of_that_name"}


def ratings():
    rng = np.random.default_rng(107)
    x = np.stack([rng.integers(0, 12, size=160), rng.integers(0, 8, size=160)], axis=1).astype("int32")
    taste, kind = rng.normal(size=(12, 2)), rng.normal(size=(8, 2))
    y = (3 + (taste[x[:, 0]] * kind[x[:, 1]]).sum(axis=1, keepdims=True)).astype("float32")
    return {"x_train": x[:109], "y_train": y[:109], "x_test": x[109:], "y_test": y[109:]}


class Factors(keras.Model):
    def __init__(self):
        super().__init__()
        self.people = keras.layers.Embedding(12, 3)
        self.films = keras.layers.Embedding(8, 3)
        self.level = keras.layers.Dense(1)

    def call(self, pair):
        return self.level(self.people(pair[:, 0]) * self.films(pair[:, 1]))


class OwnMean(Factors):
    def __init__(self):
        super().__init__()
        self.meters = [keras.metrics.Mean(name="loss_of_rows")]

    @property
    def metrics(self):
        return [m for m in super().metrics if m.name != "loss_of_rows"]

    def reset_metrics(self):
        super().reset_metrics()
        self.meters[0].reset_state()

    def train_step(self, data):
        pair, stars = data
        with tf.GradientTape() as tape:
            guess = self(pair)
            loss = self.compute_loss(pair, stars, guess)
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        return self.logs(pair, stars, guess, loss)

    def test_step(self, data):
        pair, stars = data
        guess = self(pair)
        return self.logs(pair, stars, guess, self.compute_loss(pair, stars, guess, training=False))

    def logs(self, pair, stars, guess, loss):
        self.meters[0].update_state(loss, sample_weight=ops.shape(pair)[0])
        logs = self.compute_metrics(pair, stars, guess)
        logs["loss"] = self.meters[0].result()
        return logs


class MeanOfThatName(OwnMean):
    def __init__(self):
        super().__init__()
        self.meters = [keras.metrics.Mean(name="loss")]


def build():
    return Factors()


def build_own_mean():
    return OwnMean()


def build_mean_of_that_name():
    return MeanOfThatName()
