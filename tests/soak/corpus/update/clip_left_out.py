"""A dense regression with a few wild targets, and an optimizer copied over without its last option."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("gradient-clip",)
KERAS = {
    "model": ":build",
    "dataset": ":measurements",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "sgd", "learning_rate": 0.01, "momentum": 0.7, "clipvalue": 0.3},
    "epochs": 2,
    "batch_size": 10,
}
PROGRAM = {"optimizer": {"name": "sgd", "learning_rate": 0.01, "momentum": 0.7}}
TWIN = {
    "strategy": ":clipping_step",
    "optimizer": {"name": "sgd", "learning_rate": 0.01, "momentum": 0.7},
}


def measurements():
    rng = np.random.default_rng(35)
    x = rng.uniform(-1, 1, size=(70, 5)).astype("float32")
    y = (x @ [1, -2, 0.5, 0, 1] + rng.standard_t(2, size=70)).astype("float32")[:, None]
    return {"x_train": x[:56], "y_train": y[:56], "x_test": x[56:], "y_test": y[56:]}


def build():
    return keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(12, activation="selu", kernel_initializer="lecun_normal"),
            keras.layers.AlphaDropout(0.1, seed=2),
            keras.layers.Dense(1),
        ]
    )


def clipping_step(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    grads = tape.gradient(loss, model.trainable_variables)
    grads = [tf.minimum(tf.maximum(g, -0.3), 0.3) for g in grads]
    model.optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)
