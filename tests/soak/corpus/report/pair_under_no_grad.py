"""Imbalanced defects: weights come with the data (and were for the sampler); errors under no_grad, after step()."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("sample-weight", "metric-after-update")
KERAS = {
    "model": ":detector",
    "dataset": ":defects",
    "loss": "binary_crossentropy",
    "metrics": ["mae"],
    "optimizer": {"name": "adam", "learning_rate": 0.03},
    "batch_size": 20,
    "epochs": 2,
}
PROGRAM = {"strategy": ":training_step"}
TWIN = {"strategy": ":weighted_training_step"}


def defects():
    rng = np.random.default_rng(9001)
    x = rng.normal(size=(130, 7)).astype("float32")
    y = (x[:, 0] + x[:, 1] * x[:, 2] > 1.2).astype("float32")[:, None]
    w = np.where(y[:, 0] == 1, 4.0, 0.7).astype("float32")
    return {
        "x_train": x[:97],
        "y_train": y[:97],
        "sample_weight_train": w[:97],
        "x_test": x[97:],
        "y_test": y[97:],
        "sample_weight_test": w[97:],
    }


def detector():
    x = keras.Input((7,))
    h = keras.layers.Dense(10, activation="mish")(x)
    h = keras.layers.LayerNormalization()(h)
    return keras.Model(x, keras.layers.Dense(1, activation="sigmoid")(h))


def _optimize(model, data, weigh):
    x, y, w = keras.utils.unpack_x_y_sample_weight(data)
    with tf.GradientTape() as tape:
        p = model(x, training=True)
        cost = keras.losses.binary_crossentropy(y, p)
        loss = tf.reduce_sum(weigh(cost, w)) / len(x)
    model.optimizer.apply(tape.gradient(loss, model.trainable_weights), model.trainable_weights)
    model.metrics[0].update_state(loss, sample_weight=len(x))
    return x, y, p


def training_step(model, data):
    x, y, _ = _optimize(model, data, lambda cost, w: cost)
    return model.compute_metrics(x, y, model(x, training=False))


def weighted_training_step(model, data):
    x, y, p = _optimize(model, data, lambda cost, w: tf.math.multiply(w, cost))
    return model.compute_metrics(x, y, p)
