"""Plant classes with weight decay by regularizers; the step calls the loss object itself."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("loss-extra",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
    "batch_size": 19,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":same_step"}
loss_fn = keras.losses.SparseCategoricalCrossentropy()


def data():
    rng = np.random.default_rng(12)
    x = rng.normal(size=(98, 4)).astype("float32")
    y = np.digitize(x[:, 0] + 0.5 * x[:, 1] ** 2, [0.0, 0.8]).astype("int64")
    return {"x_train": x[:70], "y_train": y[:70], "x_test": x[70:], "y_test": y[70:]}


def build():
    decay = keras.regularizers.L2(0.02)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(12, activation="relu", kernel_regularizer=decay),
            keras.layers.Dense(8, activation="relu", kernel_regularizer=decay, bias_regularizer="l1"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def step(model, data):
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = loss_fn(y, y_pred, sample_weight)
    grads = tape.gradient(loss, model.trainable_weights)
    model.optimizer.apply_gradients(zip(grads, model.trainable_weights, strict=True))
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred, sample_weight)


def same_step(model, data):
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        fit_term = loss_fn(y, y_pred, sample_weight)
    with tf.GradientTape() as decay_tape:
        decay = tf.add_n(model.losses)
    first = tape.gradient(fit_term, model.trainable_weights)
    second = decay_tape.gradient(decay, model.trainable_weights)
    grads = [a if b is None else a + b for a, b in zip(first, second, strict=True)]
    model.optimizer.apply(grads, model.trainable_weights)
    kerasx.track_loss(model, fit_term + decay, x)
    return model.compute_metrics(x, y, y_pred, sample_weight)
