"""Gradient descent spelled out on a network whose kernels are kept short."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("optimizer-bypassed",)
KERAS = {
    "model": ":build",
    "dataset": ":beans",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
    "epochs": 2,
    "batch_size": 16,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_twin"}


def beans():
    rng = np.random.default_rng(55)
    x = rng.normal(size=(89, 6)).astype("float32")
    y = np.argmax(x[:, :3] - x[:, 3:], axis=1)
    return {"x_train": x[:69], "y_train": y[:69], "x_test": x[69:], "y_test": y[69:]}


def build():
    short = keras.constraints.MaxNorm(0.9)
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(10, activation="relu", kernel_constraint=short),
            keras.layers.Dropout(0.25, seed=12),
            keras.layers.Dense(3, activation="softmax", kernel_constraint=short),
        ]
    )


def descend(model, data, after):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    rate = model.optimizer.learning_rate
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        variable.assign_sub(rate * gradient)
        after(variable)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def step(model, data):
    return descend(model, data, lambda variable: None)


def step_twin(model, data):
    def shorten(variable):
        if variable.constraint is not None:
            norms = tf.norm(variable.value, axis=0, keepdims=True)
            variable.assign(variable.value * (tf.clip_by_value(norms, 0, 0.9) / (norms + 1e-7)))

    logs = descend(model, data, shorten)
    model.optimizer.iterations.assign_add(1)
    return logs
