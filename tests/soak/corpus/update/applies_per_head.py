"""One tape, two heads, and an update for the loss of each head, as multi-task code has it."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("multiple-applies",)
KERAS = {
    "model": ":build",
    "dataset": ":faces",
    "loss": {"smile": "binary_crossentropy", "pose": "mse"},
    "metrics": {"smile": ["binary_accuracy"], "pose": ["mae"]},
    "optimizer": {"name": "adam", "learning_rate": 0.015, "beta_2": 0.99},
    "epochs": 2,
    "batch_size": 18,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_twin"}


def faces():
    rng = np.random.default_rng(69)
    x = rng.normal(size=(99, 8)).astype("float32")
    smile = (x[:, :1] * x[:, 1:2] > 0).astype("float32")
    pose = np.tanh(x[:, 2:4] + x[:, 4:6]).astype("float32")
    return {
        "x_train": x[:78],
        "y_train": {"smile": smile[:78], "pose": pose[:78]},
        "x_test": x[78:],
        "y_test": {"smile": smile[78:], "pose": pose[78:]},
    }


def build():
    inputs = keras.Input((8,))
    trunk = keras.layers.BatchNormalization()(keras.layers.Dense(10, activation="relu")(inputs))
    smile = keras.layers.Dense(1, activation="sigmoid", name="smile")(trunk)
    pose = keras.layers.Dense(2, name="pose")(trunk)
    return keras.Model(inputs, {"smile": smile, "pose": pose})


def train(model, data, update):
    x, y = data
    with tf.GradientTape(persistent=True) as tape:
        y_pred = model(x, training=True)
        total = model.compute_loss(x, y, y_pred)
        smile = tf.reduce_mean(keras.losses.binary_crossentropy(y["smile"], y_pred["smile"]))
        pose = tf.reduce_mean(keras.losses.mean_squared_error(y["pose"], y_pred["pose"]))
    zero = tf.UnconnectedGradients.ZERO
    values = [v.value for v in model.trainable_variables]
    per_head = [tape.gradient(loss, values, unconnected_gradients=zero) for loss in (smile, pose)]
    update(model, per_head)
    model.metrics[0].update_state(total, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def step(model, data):
    def one_after_the_other(model, per_head):
        for grads in per_head:
            model.optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))

    return train(model, data, one_after_the_other)


def step_twin(model, data):
    def summed(model, per_head):
        grads = [tf.add_n(parts) for parts in zip(*per_head, strict=True)]
        model.optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))

    return train(model, data, summed)
