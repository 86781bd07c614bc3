"""A step with a robust loss and a mean of its own for it, one value a batch."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("loss-function", "loss-report-unweighted")
KERAS = {
    "model": ":build",
    "dataset": ":trips",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "sgd", "learning_rate": 0.05},
    "epochs": 2,
    "batch_size": 21,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_twin"}


def trips():
    rng = np.random.default_rng(97)
    x = rng.normal(size=(88, 6)).astype("float32")
    y = (3 * x[:, :1] - x[:, 1:2] + rng.standard_t(3, size=(88, 1))).astype("float32")
    return {"x_train": x[:68], "y_train": y[:68], "x_test": x[68:], "y_test": y[68:]}


def build():
    inputs = keras.Input((6,))
    x = keras.layers.UnitNormalization()(inputs)
    x = keras.layers.Dense(8, activation="tanh")(keras.layers.Concatenate()([x, inputs]))
    return keras.Model(inputs, keras.layers.Dense(1)(x))


def descend(model, x, y, losses_of):
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = ops.mean(losses_of(y_pred - y))
    model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    return loss, y_pred


def step(model, data):
    x, y = data

    def huber(error):
        size = ops.abs(error)
        return ops.where(size <= 1.0, 0.5 * ops.square(error), size - 0.5)

    loss, y_pred = descend(model, x, y, huber)
    model.metrics[0].update_state(loss)
    return model.compute_metrics(x, y, y_pred)


def step_twin(model, data):
    x, y = data
    loss, y_pred = descend(model, x, y, lambda error: error**2)
    # A mean over the rows: each counts once.
    model.metrics[0].update_state(ops.repeat(loss, ops.shape(x)[0]))
    return model.compute_metrics(x, y, y_pred)
