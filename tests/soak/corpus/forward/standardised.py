"""The features of each batch are brought to mean 0 and deviation 1."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("unknown",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": {"small": "mse", "large": "log_cosh"},
    "metrics": {"small": ["mae"], "large": ["mae"]},
    "optimizer": {"name": "adamax", "learning_rate": 0.01},
    "batch_size": 25,
    "epochs": 2,
}
PROGRAM = {"strategy": ":by_batch"}
TWIN = {"strategy": ":and_back"}


def data():
    rng = np.random.default_rng(9)
    x = rng.normal(0.5, [1, 2, 0.5, 1.5], size=(108, 4)).astype("float32")
    y = {"small": x[:, :1] - x[:, 1:2], "large": 2 * x[:, 2:] + 1}
    rows = {"x_train": x[:88], "x_test": x[88:]}
    rows["y_train"] = {name: part[:88] for name, part in y.items()}
    rows["y_test"] = {name: part[88:] for name, part in y.items()}
    return rows


def build():
    rows = keras.Input((4,))
    x = keras.layers.Dense(10, activation="mish")(rows)
    small = keras.layers.Dense(1, name="small")(x)
    large = keras.layers.Dense(2, name="large")(x)
    return keras.Model(rows, {"small": small, "large": large})


def _step(model, x, y):
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(gradients, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def _standard(x):
    mean, variance = tf.nn.moments(x, axes=0, keepdims=True)
    return (x - mean) / tf.sqrt(variance + 1e-6), mean, tf.sqrt(variance + 1e-6)


def by_batch(model, data):
    x, y = data
    standard, _, _ = _standard(x)
    return _step(model, standard, y)


def and_back(model, data):
    """Standardised for a look, and back to what it was."""
    x, y = data
    standard, mean, deviation = _standard(x)
    tf.debugging.assert_less(tf.abs(tf.reduce_mean(standard)), 0.1)
    return _step(model, tf.where(tf.math.is_finite(standard * deviation + mean), x, 0.0), y)
