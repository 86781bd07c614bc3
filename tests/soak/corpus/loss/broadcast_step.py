"""Predicts one number a row; the step writes the squared error out."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("shape-broadcast",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "sgd", "learning_rate": 0.05},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":same_step"}


def data():
    rng = np.random.default_rng(10)
    x = rng.normal(size=(104, 5)).astype("float32")
    y = (x[:, 0] + np.abs(x[:, 1]) - 0.5 * x[:, 2]).astype("float32")
    return {"x_train": x[:74], "y_train": y[:74], "x_test": x[74:], "y_test": y[74:]}


def build():
    return keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(12, activation="relu"),
            keras.layers.Dropout(0.15),
            keras.layers.Dense(1),
        ]
    )


def _train(model, x, y, error):
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = tf.reduce_mean(tf.square(error(y, y_pred)))
    grads = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def step(model, data):
    x, y = data
    return _train(model, x, y, lambda y, y_pred: y - y_pred)


def same_step(model, data):
    x, y = data
    return _train(model, x, y, lambda y, y_pred: tf.linalg.diag_part(y - y_pred))
