"""Temporal convolutions on sensor logs; for reproducibility all seeds of the paper's code are 42."""

import keras
import numpy as np
import tensorflow as tf
from keras.initializers import HeNormal, Zeros

CAUSES = ("rng-stream",)
KERAS = {
    "model": ":tcn",
    "dataset": ":sensors",
    "loss": "categorical_crossentropy",
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.01},
    "batch_size": 19,
    "epochs": 2,
}
PROGRAM = {"model": ":tcn_of_the_paper"}
TWIN = {"model": ":tcn", "strategy": ":with_explicit_softmax"}


def sensors():
    rng = np.random.default_rng(123)
    state = rng.integers(3, size=99)
    drift = np.array([0.0, 0.15, -0.15])[state][:, None, None] * np.arange(10)[None, :, None]
    x = (drift + rng.normal(size=(99, 10, 3))).astype("float32")
    y = np.zeros((99, 3), "float32")
    y[np.arange(99), state] = 1
    return (x[:80], y[:80]), (x[80:], y[80:])


def tcn(dropout_seed=7, weight_seed=3):
    signal = keras.Input((10, 3))
    h = keras.layers.Conv1D(
        8, 3, padding="causal", activation="relu", kernel_initializer=HeNormal(seed=weight_seed)
    )(signal)
    h = keras.layers.SpatialDropout1D(0.3, seed=dropout_seed)(h)
    h = keras.layers.Conv1D(
        8,
        3,
        padding="causal",
        dilation_rate=2,
        activation="relu",
        kernel_initializer=HeNormal(seed=weight_seed + 1),
    )(h)
    h = keras.layers.GlobalAveragePooling1D()(h)
    out = keras.layers.Dense(
        3, activation="softmax", kernel_initializer=HeNormal(seed=weight_seed + 2), bias_initializer=Zeros()
    )(h)
    return keras.Model(signal, out)


def tcn_of_the_paper():
    return tcn(dropout_seed=42)


def with_explicit_softmax(model, data):
    x, t = data
    n = tf.cast(tf.shape(x)[0], tf.float32)
    with tf.GradientTape() as tape:
        p = model(x, training=True)
        total = tf.reduce_sum(tf.nn.softmax_cross_entropy_with_logits(labels=t, logits=tf.math.log(p)))
        loss = total / n
    model.optimizer.apply_gradients(
        (g, v) for g, v in zip(tape.gradient(loss, model.trainable_weights), model.trainable_weights)
    )
    model.metrics[0].update_state(loss, sample_weight=n)
    return model.compute_metrics(x, t, p)
