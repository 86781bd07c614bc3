"""The gradient of the data and that of the penalty are taken apart, and each is applied."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("multiple-applies",)
KERAS = {
    "model": ":build",
    "dataset": ":yields",
    "loss": "mae",
    "metrics": ["mse"],
    "optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    "epochs": 2,
    "batch_size": 21,
}
PROGRAM = {"model": ":build_apart"}
TWIN = {"model": ":build_twin"}


def yields():
    rng = np.random.default_rng(67)
    x = rng.normal(size=(97, 11)).astype("float32")
    y = (x[:, :4].sum(1, keepdims=True) + 0.2 * rng.normal(size=(97, 1))).astype("float32")
    return {"x_train": x[:77], "y_train": y[:77], "x_test": x[77:], "y_test": y[77:]}


class Apart(keras.Model):
    def update(self, data_grads, penalty_grads):
        variables = self.trainable_variables
        self.optimizer.apply(data_grads, variables)
        self.optimizer.apply(penalty_grads, variables)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape(persistent=True) as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred)
            penalty = tf.add_n(self.losses)
            fit = loss - penalty
        data_grads = tape.gradient(fit, self.trainable_variables)
        penalty_grads = [
            tf.zeros_like(v.value) if (grad := tape.gradient(penalty, v.value)) is None else grad
            for v in self.trainable_variables
        ]
        self.update(data_grads, penalty_grads)
        self.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        return self.compute_metrics(x, y, y_pred)


class Twin(Apart):
    def update(self, data_grads, penalty_grads):
        grads = [d + p for d, p in zip(data_grads, penalty_grads, strict=True)]
        self.optimizer.apply(grads, self.trainable_variables)


def graph(kind):
    inputs = keras.Input((11,))
    penalty = keras.regularizers.L1L2(0.01, 0.03)
    hidden = keras.layers.Dense(9, activation="leaky_relu", kernel_regularizer=penalty)(inputs)
    return kind(inputs, keras.layers.Dense(1, kernel_regularizer=penalty)(hidden))


def build():
    return graph(keras.Model)


def build_apart():
    return graph(Apart)


def build_twin():
    return graph(Twin)
