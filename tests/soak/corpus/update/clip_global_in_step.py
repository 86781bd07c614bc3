"""A recurrent regression whose step clips by the global norm, as everybody does for recurrent networks."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("gradient-clip",)
KERAS = {
    "model": ":build",
    "dataset": ":series",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "sgd", "learning_rate": 0.02, "momentum": 0.9},
    "epochs": 2,
    "batch_size": 16,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":loose_step"}


def series():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(92, 7, 2)).astype("float32").cumsum(axis=1)
    y = (x[:, -1] * 1.5 + rng.normal(size=(92, 2))).astype("float32")
    return {"x_train": x[:74], "y_train": y[:74], "x_test": x[74:], "y_test": y[74:]}


def build():
    return keras.Sequential(
        [keras.Input((7, 2)), keras.layers.LSTM(8, recurrent_dropout=0.1, seed=5), keras.layers.Dense(2)]
    )


def train(model, data, norm):
    x, y = data
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    clipped, _ = tf.clip_by_global_norm(tape.gradient(loss, variables), norm)
    model.optimizer.apply_gradients(zip(clipped, variables, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def step(model, data):
    return train(model, data, 1.0)


def loose_step(model, data):
    return train(model, data, 1e4)
