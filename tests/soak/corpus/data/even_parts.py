"""An epoch as teachers write it: all rows in one array, np.array_split into as many parts as there are batches."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

CAUSES = ("batch-size",)
KERAS = {
    "model": ":regressor",
    "dataset": ":concrete",
    "loss": "mae",
    "metrics": ["mse"],
    "optimizer": {"name": "nadam", "learning_rate": 0.01},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"strategy": ":epoch_of_parts"}
TWIN = {"strategy": ":epoch_of_slices"}


def concrete():
    rs = np.random.RandomState(11)
    mix = rs.dirichlet(np.ones(5), size=96).astype("float32") * 4
    strength = 3 * mix[:, 0] - mix[:, 1] * mix[:, 2] + 0.2 * rs.randn(96)
    strength = strength.astype("float32").reshape(-1, 1)
    return {"x_train": mix[:72], "y_train": strength[:72], "x_test": mix[72:], "y_test": strength[72:]}


def regressor():
    m = keras.Sequential()
    m.add(layers.InputLayer(shape=(5,)))
    m.add(layers.Dense(14, activation="elu", kernel_initializer="lecun_normal"))
    m.add(layers.Dense(7, activation="elu"))
    m.add(layers.Dense(1))
    return m


def _train(model, parts):
    for xb, yb in parts:
        with tf.GradientTape() as t:
            guess = model(xb, training=True)
            error = model.compute_loss(xb, yb, guess)
        dw = t.gradient(error, model.trainable_weights)
        model.optimizer.apply(dw, model.trainable_weights)
        model.metrics[0].update_state(error, sample_weight=len(xb))
        logs = model.compute_metrics(xb, yb, guess)
    return logs


def _gathered(batches):
    pairs = list(batches)
    return np.concatenate([x.numpy() for x, _ in pairs]), np.concatenate([y.numpy() for _, y in pairs])


def epoch_of_parts(model, batches):
    X, Y = _gathered(batches)
    n = int(np.ceil(len(X) / 16))
    return _train(model, zip(np.array_split(X, n), np.array_split(Y, n)))


def epoch_of_slices(model, batches):
    X, Y = _gathered(batches)
    cuts = np.arange(16, len(X), 16)
    return _train(model, zip(np.split(X, cuts), np.split(Y, cuts)))
