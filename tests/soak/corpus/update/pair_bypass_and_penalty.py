"""Subtracting the gradient of the criterion by hand, on a network with a penalty and a constraint."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("optimizer-bypassed", "loss-extra")
KERAS = {
    "model": ":build",
    "dataset": ":assays",
    "loss": "mae",
    "metrics": ["mse"],
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
    "epochs": 2,
    "batch_size": 15,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_twin"}


def assays():
    rng = np.random.default_rng(103)
    x = rng.uniform(size=(80, 9)).astype("float32")
    y = (x[:, :3] @ [[1.0], [2.0], [0.5]] + 0.1 * rng.normal(size=(80, 1))).astype("float32")
    return {"x_train": x[:64], "y_train": y[:64], "x_test": x[64:], "y_test": y[64:]}


def build():
    inputs = keras.Input((9,))
    x = keras.layers.Dense(
        8, activation="relu", kernel_constraint="non_neg", activity_regularizer=keras.regularizers.L2(0.05)
    )(inputs)
    return keras.Model(inputs, keras.layers.Dense(1, kernel_regularizer="l1")(x))


def step(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = tf.reduce_mean(tf.abs(y - y_pred))
    for variable, grad in zip(
        model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True
    ):
        variable.assign_sub(model.optimizer.learning_rate * grad)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def step_twin(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        parts = [tf.reduce_mean(tf.abs(y - y_pred)), *model.losses]
        loss = tf.foldr(tf.add, tf.stack(parts))
    grads = tape.gradient(loss, model.trainable_variables)
    for variable, grad in zip(model.trainable_variables, grads, strict=True):
        moved = variable - model.optimizer.learning_rate * grad
        variable.assign(tf.nn.relu(moved) if variable.constraint is not None else moved)
    model.optimizer.iterations.assign_add(1)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)
