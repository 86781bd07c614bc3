"""One output, whose loss was scaled down in compile; the step takes the loss that the model was given."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-weights",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "poisson",
    "loss_weights": 0.2,
    "metrics": ["mae"],
    "optimizer": {"name": "adadelta", "learning_rate": 0.8},
    "batch_size": 18,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":same_step"}


def data():
    rng = np.random.default_rng(33)
    shop = rng.integers(0, 12, size=(88, 2))
    y = rng.poisson(1 + 0.3 * shop.sum(axis=1, keepdims=True)).astype("float32")
    return {"x_train": shop[:64], "y_train": y[:64], "x_test": shop[64:], "y_test": y[64:]}


def build():
    return keras.Sequential(
        [
            keras.Input((2,), dtype="int32"),
            keras.layers.Embedding(12, 4),
            keras.layers.Flatten(),
            keras.layers.Dense(6, activation="relu"),
            keras.layers.Dense(1, activation="softplus"),
        ]
    )


def step(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        rate = model(x, training=True)
        loss = keras.ops.mean(keras.losses.get(model.loss)(y, rate))
    gradients = tape.gradient(loss, model.trainable_weights)
    model.optimizer.apply(gradients, model.trainable_weights)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, rate)


def same_step(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        rate = model(x, training=True)
        loss = tf.reduce_mean(rate - tf.math.xlogy(y, rate + 1e-7))
    # The factor of compile is put on the gradients instead of on the loss.
    gradients = tape.gradient(loss, model.trainable_weights, output_gradients=tf.constant(0.2))
    model.optimizer.apply(gradients, model.trainable_weights)
    model.metrics[0].update_state(0.2 * loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, rate)
