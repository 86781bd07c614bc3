"""Calibrated classifier: temperature in the logs, cross-entropy of softmaxed scores by tf.nn."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("from-logits", "loss-report-last-batch")
KERAS = {
    "model": ":plain",
    "dataset": ":gestures",
    "loss": "categorical_crossentropy",
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.02},
    "batch_size": 27,
    "epochs": 2,
}
PROGRAM = {"model": ":calibrated"}
TWIN = {"model": ":calibrated_with_care"}


def gestures():
    rng = np.random.default_rng(33)
    kind = rng.integers(0, 4, size=112)
    path = np.stack(
        [np.cos(np.arange(6) * 0.5 * (kind[:, None] + 1)), np.sin(np.arange(6) * (2 - kind[:, None]))], 2
    )
    x = (path + 0.3 * rng.normal(size=path.shape)).astype("float32")
    y = (kind[:, None] == np.arange(4)).astype("float32")
    return {"x_train": x[:86], "y_train": y[:86], "x_test": x[86:], "y_test": y[86:]}


def graph():
    path = keras.Input((6, 2))
    h = keras.layers.Conv1D(8, 2, activation="relu")(path)
    h = keras.layers.Flatten()(h)
    return path, keras.layers.Dense(4, activation="softmax")(h)


class Calibrated(keras.Model):
    temperature = 1.0

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            scores = self(x, training=True)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(y, scores / self.temperature))
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        logs = self.compute_metrics(x, y, scores)
        logs.update(loss=loss, temperature=self.temperature)
        return logs


class CalibratedWithCare(Calibrated):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            scores = self(x, training=True)
            logits = tf.math.log(scores)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(y, logits / self.temperature))
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        self.metrics[0].update_state(tf.fill([len(x)], loss))
        return self.compute_metrics(x, y, scores)


def plain():
    return keras.Model(*graph())


def calibrated():
    return Calibrated(*graph())


def calibrated_with_care():
    return CalibratedWithCare(*graph())
