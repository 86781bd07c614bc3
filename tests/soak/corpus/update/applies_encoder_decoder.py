"""An autoencoder in two halves, each of which gets its own update."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("multiple-applies",)
KERAS = {
    "model": ":build",
    "dataset": ":patches",
    "loss": "mse",
    "metrics": [],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "epochs": 2,
    "batch_size": 15,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_twin"}


def patches():
    rng = np.random.default_rng(63)
    x = (rng.normal(size=(94, 3)) @ rng.normal(size=(3, 16))).astype("float32")
    noisy = (x + 0.3 * rng.normal(size=x.shape)).astype("float32")
    return {"x_train": noisy[:72], "y_train": x[:72], "x_test": noisy[72:], "y_test": x[72:]}


class Autoencoder(keras.Model):
    def __init__(self):
        super().__init__(name="autoencoder")
        self.encoder = keras.Sequential([keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        self.decoder = keras.Sequential([keras.layers.Dense(8, "relu"), keras.layers.Dense(16)])

    def call(self, x):
        return self.decoder(self.encoder(x))


def build():
    return Autoencoder()


def train(model, data, update):
    x, y = data
    with tf.GradientTape(persistent=True) as tape:
        y_pred = model(x)
        loss = model.compute_loss(x, y, y_pred)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    halves = [model.encoder.trainable_variables, model.decoder.trainable_variables]
    update(model.optimizer, [(tape.gradient(loss, half), half) for half in halves])
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def step(model, data):
    def each(optimizer, halves):
        for grads, variables in halves:
            optimizer.apply_gradients(zip(grads, variables, strict=True))

    return train(model, data, each)


def step_twin(model, data):
    def together(optimizer, halves):
        (early, encoder), (late, decoder) = halves
        optimizer.apply(late + early, decoder + encoder)

    return train(model, data, together)
