"""The step is compiled by XLA, for speed."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("rng-stream",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mae",
    "metrics": ["mse"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 16,
    "execution": "graph",
    "epochs": 2,
}
PROGRAM = {"jit": True}
TWIN = {"strategy": ":undecided_step"}


def data():
    rng = np.random.default_rng(79)
    x = rng.normal(size=(90, 6)).astype("float32")
    y = np.tanh(x[:, :3] + x[:, 3:])
    return {"x_train": x[:72], "y_train": y[:72], "x_test": x[72:], "y_test": y[72:]}


def build():
    rows = keras.Input((6,))
    x = keras.layers.Dropout(0.1, seed=90)(rows)
    x = keras.layers.Dense(16, activation="relu")(x)
    x = keras.layers.Dropout(0.3, seed=91)(x)
    return keras.Model(rows, keras.layers.Dense(3)(x))


def undecided_step(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        gap = y_pred - y
        loss = tf.reduce_mean(tf.maximum(gap, -gap))
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(gradients, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)
