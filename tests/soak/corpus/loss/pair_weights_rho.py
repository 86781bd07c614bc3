"""A port of a PyTorch script: its RMSprop settings, and batches of inputs and targets."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("sample-weight", "optimizer-config")
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.005},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {
    "strategy": ":step",
    "optimizer": {"name": "rmsprop", "learning_rate": 0.005, "rho": 0.99, "epsilon": 1e-8},
}
TWIN = {"strategy": ":same_step"}


def data():
    rng = np.random.default_rng(103)
    x = rng.normal(size=(100, 8, 1)).astype("float32")
    y = np.stack([x[:, :, 0].max(axis=1), x[:, :, 0].std(axis=1)], axis=1)
    weight = np.where(y[:, 0] > 1.5, 2.2, 0.3).astype("float32")
    return {
        "x_train": x[:72],
        "y_train": y[:72],
        "sample_weight_train": weight[:72],
        "x_test": x[72:],
        "y_test": y[72:],
    }


def build():
    return keras.Sequential(
        [
            keras.Input((8, 1)),
            keras.layers.Conv1D(6, 3, activation="leaky_relu"),
            keras.layers.Conv1D(4, 3, activation="leaky_relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )


def _train(model, batch, criterion):
    inputs, targets, *rest = batch
    with tf.GradientTape() as tape:
        outputs = model(inputs, training=True)
        loss = criterion(outputs, targets, *rest)
    parameters = model.trainable_variables
    model.optimizer.apply(tape.gradient(loss, parameters), parameters)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(inputs)[0])
    return model.compute_metrics(inputs, targets, outputs, *rest)


def step(model, data):
    return _train(model, data, lambda outputs, targets, *_: tf.reduce_mean((outputs - targets) ** 2))


def same_step(model, data):
    def criterion(outputs, targets, weight):
        columns = tf.unstack((outputs - targets) ** 2, axis=1)
        return tf.add_n([tf.reduce_mean(weight * column) for column in columns]) / len(columns)

    return _train(model, data, criterion)
