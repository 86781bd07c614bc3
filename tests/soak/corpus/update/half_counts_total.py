"""Counts per hour as Poisson rates in mixed precision; totals over the batch are divided by its size."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-dtype",)
KERAS = {
    "model": ":build",
    "dataset": ":counts",
    "loss": "poisson",
    "metrics": ["mae"],
    "optimizer": {"name": "adam", "learning_rate": 0.003},
    "epochs": 2,
    "batch_size": 17,
    "precision": "mixed_float16",
}
PROGRAM = {"strategy": ":epoch"}
TWIN = {"strategy": ":epoch_twin"}


def counts():
    rng = np.random.default_rng(29)
    x = rng.normal(size=(80, 6, 4)).astype("float32")
    rate = np.exp(5.2 + 0.3 * x[:, :, :1].mean(1) + np.linspace(-0.4, 0.4, 8))
    y = rng.poisson(rate).astype("float32")
    return {"x_train": x[:61], "y_train": y[:61], "x_test": x[61:], "y_test": y[61:]}


def build():
    inputs = keras.Input((6, 4))
    hidden = keras.layers.GRU(7)(inputs)
    bias = keras.initializers.Constant(5.0)
    return keras.Model(inputs, keras.layers.Dense(8, "exponential", bias_initializer=bias)(hidden))


def over(model, batches, dtype):
    for x, y in batches:
        with tf.GradientTape() as tape:
            rate = model(x, training=True)
            r, n = tf.cast(rate, dtype), tf.cast(y, dtype)
            total = tf.reduce_sum(r - n * tf.math.log(r + tf.cast(1e-7, dtype)))
            loss = total / tf.cast(tf.size(n), dtype)
            scaled = model.optimizer.scale_loss(tf.cast(loss, tf.float32))
        grads = tape.gradient(scaled, model.trainable_variables)
        model.optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        logs = model.compute_metrics(x, y, rate)
    return logs


def epoch(model, batches):
    return over(model, batches, tf.float16)


def epoch_twin(model, batches):
    return over(model, batches, tf.float32)
