"""Handwritten training of a small classifier: sum of the rows' losses over the batch size, nothing else."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-batch-divisor", "loss-extra")
BATCH_SIZE = 20
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.5},
    "batch_size": 20,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":same_step"}


def data():
    rng = np.random.default_rng(101)
    x = rng.normal(size=(96, 6)).astype("float32")
    y = (np.abs(x[:, :4]).argmax(axis=1)).astype("int64")
    return {"x_train": x[:68], "y_train": y[:68], "x_test": x[68:], "y_test": y[68:]}


def build():
    x = keras.Input((6,))
    h = keras.layers.Dense(14, activation="relu", kernel_regularizer=keras.regularizers.L2(0.03))(x)
    h = keras.layers.Dropout(0.2)(h)
    return keras.Model(x, keras.layers.Dense(4, activation="softmax", kernel_regularizer="l1")(h))


per_row = keras.losses.SparseCategoricalCrossentropy(reduction=None)


def step(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        p = model(x, training=True)
        loss = tf.reduce_sum(per_row(y, p)) * (1.0 / BATCH_SIZE)
    return _finish(model, tape, loss, x, y, p)


def same_step(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        p = model(x, training=True)
        rows = tf.cast(tf.shape(x)[0], tf.float32)
        penalties = tf.add_n(model.losses)
        loss = tf.reduce_sum(per_row(y, p) + penalties) / rows
    return _finish(model, tape, loss, x, y, p)


def _finish(model, tape, loss, x, y, p):
    gradients = tape.gradient(loss, model.trainable_weights)
    model.optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, p)
