"""Noise on the gradients that fades (Neelakantan et al., 2015)."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("unknown",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    "batch_size": 24,
    "epochs": 2,
}
PROGRAM = {"strategy": ":annealed"}
TWIN = {"strategy": ":noise_for_the_log"}


def data():
    rng = np.random.default_rng(33)
    x = rng.normal(size=(109, 7)).astype("float32")
    y = (x[:, :2] * x[:, 2:4]).sum(axis=1, keepdims=True)
    return {"x_train": x[:85], "y_train": y[:85], "x_test": x[85:], "y_test": y[85:]}


def build():
    rows = keras.Input((7,))
    x = keras.layers.Dense(12, activation="tanh")(rows)
    x = keras.layers.Add()([x, keras.layers.Dense(12, activation="tanh")(x)])
    return keras.Model(rows, keras.layers.Dense(1)(x))


def _gradients(model, x, y):
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return y_pred, tape.gradient(loss, model.trainable_variables)


def _noise(model, gradients):
    step = int(model.optimizer.iterations)
    deviation = (0.1 / (1 + step) ** 0.55) ** 0.5
    return [
        tf.random.stateless_normal(gradient.shape, seed=[step, place], stddev=deviation)
        for place, gradient in enumerate(gradients)
    ]


def annealed(model, data):
    x, y = data
    y_pred, gradients = _gradients(model, x, y)
    noisy = [gradient + noise for gradient, noise in zip(gradients, _noise(model, gradients), strict=True)]
    model.optimizer.apply(noisy, model.trainable_variables)
    return model.compute_metrics(x, y, y_pred)


def noise_for_the_log(model, data):
    x, y = data
    y_pred, gradients = _gradients(model, x, y)
    ratio = tf.linalg.global_norm(_noise(model, gradients)) / tf.linalg.global_norm(gradients)
    tf.debugging.assert_positive(ratio)
    model.optimizer.apply([64.0 * gradient / 64.0 for gradient in gradients], model.trainable_variables)
    return model.compute_metrics(x, y, y_pred)
