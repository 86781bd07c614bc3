"""A large-margin classifier: labels are made plus and minus one, as its loss wants them."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("metric-label-format",)
KERAS = {
    "model": ":build",
    "dataset": ":two_moons",
    "loss": "hinge",
    "metrics": [{"name": "binary_accuracy", "threshold": 0.0}],
    "optimizer": {"name": "ftrl", "learning_rate": 0.2},
    "epochs": 2,
    "batch_size": 15,
}
PROGRAM = {"strategy": {"name": "custom-step", "step": ":margin_step", "test_step": ":margin_test"}}
TWIN = {"strategy": {"name": "custom-step", "step": ":unsigned_step", "test_step": ":unsigned_test"}}


def two_moons():
    rng = np.random.default_rng(23)
    side = rng.integers(0, 2, size=(104, 1))
    angle = rng.uniform(0, np.pi, size=(104, 1)) + np.pi * side
    x = np.concatenate([np.cos(angle) + side, np.sin(angle) + 0.4 * side], axis=1)
    x = (x + 0.2 * rng.normal(size=x.shape)).astype("float32")
    y = side.astype("float32")
    return {"x_train": x[:71], "y_train": y[:71], "x_test": x[71:], "y_test": y[71:]}


def build():
    return keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(1),
        ]
    )


def margin(signed, score):
    return tf.reduce_mean(tf.nn.relu(1.0 - signed * score))


def make(back):
    def step(model, data):
        x, y = data
        signed = 2.0 * y - 1.0
        with tf.GradientTape() as tape:
            score = model(x, training=True)
            loss = margin(signed, score)
        weights = model.trainable_variables
        model.optimizer.apply(tape.gradient(loss, weights), weights)
        kerasx.track_loss(model, loss, x)
        return model.compute_metrics(x, back(signed), score)

    def test(model, data):
        x, y = data
        signed = tf.where(y > 0, 1.0, -1.0)
        score = model(x, training=False)
        kerasx.track_loss(model, margin(signed, score), x)
        return model.compute_metrics(x, back(signed), score)

    return step, test


margin_step, margin_test = make(lambda signed: signed)
unsigned_step, unsigned_test = make(lambda signed: tf.nn.relu(signed))
