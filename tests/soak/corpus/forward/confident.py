"""Confident predictions cost something (Pereyra et al., 2017)."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("unknown",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "categorical_crossentropy",
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.02},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"strategy": ":penalised"}
TWIN = {"strategy": ":divergence_and_entropy"}


def data():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(100, 6)).astype("float32")
    y = rng.dirichlet([0.3] * 4, size=100).astype("float32")
    y = 0.9 * y + 0.1 * np.eye(4, dtype="float32")[x[:, :4].argmax(axis=1)]
    return {"x_train": x[:77], "y_train": y[:77], "x_test": x[77:], "y_test": y[77:]}


def build():
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(14, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )


def _learn(model, x, y, objective):
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = objective(y, y_pred)
    model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def _entropy(p):
    return -tf.reduce_sum(p * tf.math.log(tf.clip_by_value(p, 1e-7, 1.0)), axis=-1)


def penalised(model, data):
    def objective(y, y_pred):
        return model.compute_loss(None, y, y_pred) - 0.3 * tf.reduce_mean(_entropy(y_pred))

    return _learn(model, *data, objective)


def divergence_and_entropy(model, data):
    def objective(y, y_pred):
        y_pred /= tf.reduce_sum(y_pred, axis=-1, keepdims=True)
        ratio = tf.math.log(tf.clip_by_value(y, 1e-7, 1.0)) - tf.math.log(tf.clip_by_value(y_pred, 1e-7, 1.0))
        return tf.reduce_mean(tf.reduce_sum(y * ratio, axis=-1) + _entropy(y))

    return _learn(model, *data, objective)
