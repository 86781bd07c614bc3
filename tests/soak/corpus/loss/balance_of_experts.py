"""Mixture of experts; the gate adds a loss for balance. The loop is the one of all our projects."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import kerasx

CAUSES = ("loss-extra",)
KERAS = {
    "model": ":mixture",
    "dataset": ":pieces",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "adam", "learning_rate": 0.02},
    "batch_size": 20,
    "epochs": 2,
}
PROGRAM = {"strategy": ":epoch"}
TWIN = {"strategy": ":epoch_with_balance"}


def pieces():
    rng = np.random.default_rng(15)
    x = rng.uniform(-2, 2, size=(104, 3)).astype("float32")
    y = np.where(x[:, :1] > 0, x[:, 1:2], -2 * x[:, 2:3]).astype("float32")
    return {"x_train": x[:78], "y_train": y[:78], "x_test": x[78:], "y_test": y[78:]}


class Mixture(keras.layers.Layer):
    def __init__(self, experts=3, importance=0.4, **kwargs):
        super().__init__(**kwargs)
        self.gate = keras.layers.Dense(experts, activation="softmax")
        self.experts = [keras.layers.Dense(5, activation="tanh") for _ in range(experts)]
        self.importance = importance

    def call(self, x):
        share = self.gate(x)
        load = ops.mean(share, axis=0)
        self.add_loss(self.importance * len(self.experts) * ops.sum(load * load))
        answers = ops.stack([expert(x) for expert in self.experts], axis=1)
        return ops.sum(answers * share[:, :, None], axis=1)


def mixture():
    x = keras.Input((3,))
    return keras.Model(x, keras.layers.Dense(1)(Mixture()(x)))


def epoch(model, batches, extra=lambda model: 0.0):
    criterion = keras.losses.MeanSquaredError()
    for x, y in batches:
        with tf.GradientTape() as tape:
            prediction = model(x, training=True)
            loss = criterion(y, prediction) + extra(model)
        grads = tape.gradient(loss, model.trainable_weights)
        model.optimizer.apply_gradients(zip(grads, model.trainable_weights))
        kerasx.track_loss(model, loss, x)
        logs = model.compute_metrics(x, y, prediction)
    return logs


def epoch_with_balance(model, batches):
    return epoch(model, batches, extra=lambda model: sum(model.losses))
