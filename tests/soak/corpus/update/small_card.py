"""Fits on a small card: every two batches make one update. The schedule is that of the large card."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("gradient-accumulation",)
KERAS = {
    "model": ":net",
    "dataset": ":soil",
    "loss": "huber",
    "metrics": ["mae"],
    "optimizer": {
        "name": "sgd",
        "gradient_accumulation_steps": 2,
        "learning_rate": {
            "name": "exponential_decay",
            "initial_learning_rate": 0.3,
            "decay_steps": 2,
            "decay_rate": 0.7,
        },
    },
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {
    "strategy": ":accumulate",
    "optimizer": {
        "name": "sgd",
        "learning_rate": {
            "name": "exponential_decay",
            "initial_learning_rate": 0.3,
            "decay_steps": 2,
            "decay_rate": 0.7,
        },
    },
}
TWIN = {
    "strategy": ":accumulate",
    "optimizer": {
        "name": "sgd",
        "learning_rate": ":DecayByMicroBatch",
    },
}


def soil():
    rng = np.random.default_rng(1815)
    x = rng.gamma(2.0, size=(112, 5)).astype("float32")
    y = (np.log(x[:, :1]) + 0.3 * x[:, 1:2] - 0.2 * x[:, 2:3] * x[:, 3:4]).astype("float32")
    return {"x_train": x[:90], "y_train": y[:90], "x_test": x[90:], "y_test": y[90:]}


def net():
    x = keras.Input((5,))
    h = keras.layers.Normalization(mean=[2.0] * 5, variance=[2.0] * 5)(x)
    h = keras.layers.Dense(11, activation="relu")(h)
    return keras.Model(x, keras.layers.Dense(1)(h))


class DecayByMicroBatch(keras.optimizers.schedules.LearningRateSchedule):
    """0.3 * 0.7 ** (batches / 2): the n-th update takes place at batch 2n + 1."""

    def __call__(self, step):
        return 0.3 * 0.7 ** ((2.0 * tf.cast(step, tf.float32) + 1.0) / 2.0)

    def get_config(self):
        return {}


def accumulate(model, batches):
    kept = []
    for x, y in batches:
        with tf.GradientTape() as tape:
            out = model(x, training=True)
            loss = model.compute_loss(x, y, out)
            half = loss / 2
        kept.append(tape.gradient(half, model.trainable_variables))
        if len(kept) == 2:
            model.optimizer.apply([a + b for a, b in zip(*kept)], model.trainable_variables)
            kept.clear()
        kerasx.track_loss(model, loss, x)
        logs = model.compute_metrics(x, y, out)
    return logs
