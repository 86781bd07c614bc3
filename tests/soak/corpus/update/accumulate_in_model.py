"""A model class that accumulates over three batches in variables of its own, for a cosine schedule."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("gradient-accumulation",)
KERAS = {
    "model": ":build",
    "dataset": ":notes",
    "loss": "mse",
    "metrics": [],
    "optimizer": {
        "name": "adam",
        "gradient_accumulation_steps": 3,
        "learning_rate": {"name": "cosine_decay", "initial_learning_rate": 0.05, "decay_steps": 12},
    },
    "epochs": 2,
    "batch_size": 12,
}
PROGRAM = {
    "model": ":build_own",
    "optimizer": {
        "name": "adam",
        "learning_rate": {"name": "cosine_decay", "initial_learning_rate": 0.05, "decay_steps": 12},
    },
}
TWIN = {"model": ":build_twin"}


def notes():
    rng = np.random.default_rng(73)
    x = rng.normal(size=(84, 6, 2)).astype("float32")
    y = x[:, ::2].sum(axis=1).astype("float32")
    return {"x_train": x[:67], "y_train": y[:67], "x_test": x[67:], "y_test": y[67:]}


class Accumulating(keras.Model):
    def train_step(self, data):
        x, y = data
        variables = self.trainable_variables
        if not hasattr(self, "sums"):
            self.sums = [tf.Variable(tf.zeros(v.shape), trainable=False) for v in variables]
            self.seen = tf.Variable(0, dtype=tf.int64, trainable=False)
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred)
        for total, gradient in zip(self.sums, tape.gradient(loss, variables), strict=True):
            total.assign_add(gradient)
        self.seen.assign_add(1)
        if self.seen % 3 == 0:
            self.optimizer.apply([total / 3 for total in self.sums], variables)
            for total in self.sums:
                total.assign(tf.zeros_like(total))
        self.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        return self.compute_metrics(x, y, y_pred)


class Averaging(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = tf.tensordot(tf.reduce_mean((y - y_pred) ** 2, axis=1), tf.ones(len(x)) / len(x), 1)
        pairs = list(
            zip(tape.gradient(loss, self.trainable_variables), self.trainable_variables, strict=True)
        )
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        self.optimizer.apply_gradients(pairs[::-1])
        self.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        return self.compute_metrics(x, y, y_pred)


def graph(kind):
    inputs = keras.Input((6, 2))
    return kind(inputs, keras.layers.Dense(2)(keras.layers.SimpleRNN(6)(inputs)))


def build():
    return graph(keras.Model)


def build_own():
    return graph(Accumulating)


def build_twin():
    return graph(Averaging)
