"""A custom step from an older guide, with the compiled loss and the compiled metrics of the model."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-report-shim",)
KERAS = {
    "model": ":build",
    "dataset": ":digits",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "epochs": 2,
    "batch_size": 16,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_in_two_names"}


def digits():
    rng = np.random.default_rng(139)
    x = rng.normal(size=(111, 3)).astype("float32")
    y = np.stack([x[:, 0] + 2, x[:, 1] * x[:, 2] + 1], axis=1).astype("float32")
    return {"x_train": x[:75], "y_train": y[:75], "x_test": x[75:], "y_test": y[75:]}


def build():
    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(13, activation="relu"), keras.layers.Dense(2)]
    )


def step(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compiled_loss(y, y_pred, regularization_losses=model.losses)
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    model.compiled_metrics.update_state(y, y_pred)
    return {name: model.get_metrics_result()[name] for name in ("loss", "mae")}


def step_in_two_names(model, data):
    x, y = data
    compiled_metrics = [m for m in model.metrics if not isinstance(m, keras.metrics.Mean)]
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compiled_loss(y, y_pred, regularization_losses=model.losses)
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    for metric in compiled_metrics:
        metric.update_state(y, y_pred)
    model.metrics[0].update_state(tf.repeat(loss, tf.shape(y)[0]))
    return model.get_metrics_result()
