"""A weighted least-squares fit by gradient descent written out, rate times gradient."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("weight-normalization", "optimizer-bypassed")
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "sgd", "learning_rate": 0.05, "weight_decay": 0.1},
    "batch_size": 14,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":same_step"}


def data():
    rng = np.random.default_rng(107)
    x = rng.normal(size=(90, 6)).astype("float32")
    y = (x[:, :2] * 1.5 - x[:, 2:4] ** 2).astype("float32")
    weight = rng.uniform(0.05, 1.2, size=90).astype("float32")
    return {
        "x_train": x[:65],
        "y_train": y[:65],
        "sample_weight_train": weight[:65],
        "x_test": x[65:],
        "y_test": y[65:],
        "sample_weight_test": weight[65:],
    }


def build():
    return keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(9, activation="softsign"), keras.layers.Dense(2)]
    )


def _loss(model, x, y, weight, denominator):
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        squared = ops.mean(ops.square(y - y_pred), axis=-1)
        loss = ops.sum(squared * weight) / denominator
    return loss, y_pred, tape.gradient(loss, model.trainable_variables)


def _report(model, loss, x, y, y_pred, weight):
    model.metrics[0].update_state(loss, sample_weight=ops.shape(x)[0])
    return model.compute_metrics(x, y, y_pred, weight)


def step(model, data):
    x, y, weight = data
    loss, y_pred, gradients = _loss(model, x, y, weight, ops.sum(weight))
    rate = float(model.optimizer.learning_rate)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        variable.assign_sub(rate * gradient)
    return _report(model, loss, x, y, y_pred, weight)


def same_step(model, data):
    x, y, weight = data
    loss, y_pred, gradients = _loss(model, x, y, weight, float(len(x)))
    rate = float(model.optimizer.learning_rate)
    model.optimizer.build(model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        variable.assign(variable - variable * 0.1 * rate)
        variable.assign_sub(rate * gradient)
    model.optimizer.iterations.assign_add(1)
    return _report(model, loss, x, y, y_pred, weight)
