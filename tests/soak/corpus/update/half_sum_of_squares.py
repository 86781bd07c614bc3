"""Reconstruction of wide rows in mixed precision, with the error summed in the network's own dtype."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-dtype",)
KERAS = {
    "model": ":build",
    "dataset": ":rows",
    "loss": "mse",
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.002},
    "epochs": 2,
    "batch_size": 16,
    "precision": "mixed_float16",
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":wide_step"}


def rows():
    rng = np.random.default_rng(3)
    codes = rng.normal(size=(90, 4))
    x = (codes @ rng.normal(size=(4, 96)) * 22).astype("float32")
    return {"x_train": x[:70] / 40, "y_train": x[:70], "x_test": x[70:] / 40, "y_test": x[70:]}


def build():
    return keras.Sequential(
        [keras.Input((96,)), keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(96)]
    )


def train(model, data, dtype):
    x, y = data
    with tf.GradientTape() as tape:
        outputs = model(x, training=True)
        error = tf.cast(y, dtype) - tf.cast(outputs, dtype)
        each = tf.reduce_sum(error * error, axis=-1) / 96
        loss = tf.reduce_mean(each)
        scaled = model.optimizer.scale_loss(tf.cast(loss, tf.float32))
    grads = tape.gradient(scaled, model.trainable_variables)
    model.optimizer.apply(grads, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, outputs)


def step(model, data):
    return train(model, data, model.compute_dtype)


def wide_step(model, data):
    return train(model, data, tf.float32)
