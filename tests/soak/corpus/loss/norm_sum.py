"""Weighted regression; the loss is the weighted average of the rows."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("weight-normalization",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "sgd", "learning_rate": 0.04},
    "batch_size": 17,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":same_step"}


def data():
    rng = np.random.default_rng(9)
    x = rng.normal(size=(103, 4)).astype("float32")
    y = np.stack([np.sin(x[:, 0]), x[:, 1] * x[:, 2], x[:, 3]], axis=1)
    weight = rng.gamma(1.5, 1.2, size=103).astype("float32")
    return {
        "x_train": x[:79],
        "y_train": y[:79],
        "sample_weight_train": weight[:79],
        "x_test": x[79:],
        "y_test": y[79:],
    }


def build():
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(13, activation="selu", kernel_initializer="lecun_normal"),
            keras.layers.AlphaDropout(0.05),
            keras.layers.Dense(3),
        ]
    )


def _train(model, data, reduce):
    x, y, w = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        squared = tf.reduce_mean(tf.math.squared_difference(y_pred, y), axis=-1)
        loss = reduce(squared, w)
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred, w)


def step(model, data):
    return _train(model, data, lambda each, w: tf.reduce_sum(each * w) / tf.reduce_sum(w))


def same_step(model, data):
    return _train(model, data, lambda each, w: tf.tensordot(w, each, 1) / len(each))
