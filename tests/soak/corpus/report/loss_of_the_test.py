"""Trained by Keras; only the evaluation is written out, with a loss that is computed by hand."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-report-discarded",)
KERAS = {
    "model": ":build",
    "dataset": ":counts",
    "loss": "poisson",
    "metrics": ["mse"],
    "optimizer": {"name": "adagrad", "learning_rate": 0.1},
    "epochs": 2,
    "batch_size": 18,
}
PROGRAM = {"strategy": {"name": "custom-step", "test_step": ":likelihood"}}
TWIN = {"strategy": {"name": "custom-step", "test_step": ":tracked_likelihood"}}


def counts():
    rng = np.random.default_rng(101)
    x = rng.uniform(size=(130, 4)).astype("float32")
    y = rng.poisson(np.exp(x @ np.array([1.0, -0.5, 0.8, 0.2])))[:, None].astype("float32")
    weight = rng.gamma(2.0, 0.5, size=130).astype("float32")
    return {
        "x_train": x[:85],
        "y_train": y[:85],
        "sample_weight_train": weight[:85],
        "x_test": x[85:],
        "y_test": y[85:],
        "sample_weight_test": weight[85:],
    }


def build():
    x = keras.Input((4,))
    hidden = keras.layers.Dense(6, activation="relu", activity_regularizer="l2")(x)
    return keras.Model(x, keras.layers.Dense(1, activation="exponential")(hidden))


def by_hand(model, x, y, weight, rate):
    each = tf.squeeze(rate - y * tf.math.log(rate + keras.config.epsilon()), axis=-1)
    return tf.reduce_sum(weight * each) / tf.cast(tf.size(each), tf.float32) + tf.add_n(model.losses)


def likelihood(model, data):
    x, y, weight = data
    rate = model(x, training=False)
    logs = model.compute_metrics(x, y, rate, weight)
    logs["loss"] = by_hand(model, x, y, weight, rate)
    return logs


def tracked_likelihood(model, data):
    x, y, weight = data
    rate = model(x, training=False)
    loss = by_hand(model, x, y, weight, rate)
    model.metrics[0].update_state(tf.fill([tf.shape(x)[0]], loss))
    return model.compute_metrics(x, y, rate, weight)
