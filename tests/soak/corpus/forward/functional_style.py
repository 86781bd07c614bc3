"""The step as a pure function of the weights, as one writes it for JAX."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("state-not-updated",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mean_absolute_error",
    "metrics": ["mse"],
    "optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.8},
    "batch_size": 19,
    "epochs": 2,
}
PROGRAM = {"strategy": ":pure_step"}
TWIN = {"strategy": ":pure_step_with_state"}


def data():
    rng = np.random.default_rng(47)
    x = rng.normal(2, 3, size=(100, 6)).astype("float32")
    y = np.log1p(np.abs(x[:, :1] * x[:, 1:2]))
    return {"x_train": x[:78], "y_train": y[:78], "x_test": x[78:], "y_test": y[78:]}


def build():
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(10, use_bias=False),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.Activation("relu"),
            keras.layers.Dense(1),
        ]
    )


def _pure(model, x, y):
    trained = [variable.value for variable in model.trainable_variables]
    others = [variable.value for variable in model.non_trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(trained)
        y_pred, others = model.stateless_call(trained, others, x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    return y_pred, loss, tape.gradient(loss, trained), others


def pure_step(model, data):
    x, y = data
    y_pred, loss, gradients, _ = _pure(model, x, y)
    model.optimizer.apply(gradients, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def pure_step_with_state(model, data):
    x, y = data
    y_pred, loss, gradients, state = _pure(model, x, y)
    model.optimizer.apply(gradients, model.trainable_variables)
    for variable, value in zip(model.non_trainable_variables, state, strict=True):
        variable.assign(value)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)
