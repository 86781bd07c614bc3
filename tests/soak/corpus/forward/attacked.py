"""The network learns from rows that are moved against it (FGSM, Goodfellow et al., 2015)."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("unknown",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": {"name": "binary_crossentropy", "from_logits": True},
    "metrics": ["mae"],
    "optimizer": {"name": "adam", "learning_rate": 0.01, "clipnorm": 1.0},
    "batch_size": 14,
    "epochs": 2,
}
PROGRAM = {"strategy": ":robust"}
TWIN = {"strategy": ":curious"}


def data():
    rng = np.random.default_rng(24)
    x = rng.normal(size=(96, 8, 3)).astype("float32")
    y = (x[:, :, 0].mean(axis=1) > x[:, :, 1].mean(axis=1)).astype("float32")[:, None]
    weights = rng.uniform(0.5, 1.5, size=96).astype("float32")
    rows = {"x_train": x[:73], "y_train": y[:73], "sample_weight_train": weights[:73]}
    return rows | {"x_test": x[73:], "y_test": y[73:]}


def build():
    return keras.Sequential(
        [
            keras.Input((8, 3)),
            keras.layers.Conv1D(8, 3, activation="swish"),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(1),
        ]
    )


def _slope(model, x, y, weights):
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = model.compute_loss(x, y, model(x, training=True), weights)
    return tape.gradient(loss, x)


def _learn(model, x, y, weights):
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred, weights)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    return model.compute_metrics(x, y, y_pred, weights)


def robust(model, data):
    x, y, weights = data
    moved = x + 0.15 * tf.sign(_slope(model, x, y, weights))
    return _learn(model, moved, y, weights)


def curious(model, data):
    """What the inputs would have to be, only to see it."""
    x, y, weights = data
    saliency = tf.abs(_slope(model, x, y, weights))
    tf.debugging.assert_all_finite(saliency, "no slope")
    return _learn(model, tf.reverse(tf.reverse(x, [1]), [1]), y, weights)
