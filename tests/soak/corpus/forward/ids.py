"""The loss is given the classes' numbers, the metrics the rows that came."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("label-format",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mean_squared_error",
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.2, "momentum": 0.7},
    "batch_size": 21,
    "epochs": 2,
}
PROGRAM = {"model": ":build_by_number"}
TWIN = {"model": ":build_by_row"}


def data():
    rng = np.random.default_rng(73)
    tokens = rng.integers(0, 10, size=(98, 5))
    y = np.eye(3, dtype="float32")[tokens[:, ::2].sum(axis=1) % 3]
    return {"x_train": tokens[:76], "y_train": y[:76], "x_test": tokens[76:], "y_test": y[76:]}


class Reader(keras.Model):
    def __init__(self):
        super().__init__(name="reader")
        self.vectors = keras.layers.Embedding(10, 6)
        self.flat = keras.layers.Flatten()
        self.scores = keras.layers.Dense(3, activation="sigmoid", activity_regularizer="l2")

    def call(self, tokens):
        return self.scores(self.flat(self.vectors(tokens)))


class Own(Reader):
    def targets(self, y):
        return tf.argmax(y, axis=1)[:, tf.newaxis]

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=self.targets(y), y_pred=y_pred)
        self.optimizer.apply_gradients(
            (gradient, variable)
            for variable, gradient in zip(
                self.trainable_variables, tape.gradient(loss, self.trainable_variables), strict=True
            )
        )
        self.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        return self.compute_metrics(x, y, y_pred)


class ByRow(Own):
    def targets(self, y):
        return tf.gather(tf.eye(3), super().targets(y)[:, 0])


def build():
    return Reader()


def build_by_number():
    return Own()


def build_by_row():
    return ByRow()
