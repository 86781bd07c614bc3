"""A click model with a sigmoid at its end, and the 'numerically stable' setting of the binary loss."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("from-logits",)
KERAS = {
    "model": ":build",
    "dataset": ":clicks",
    "loss": "binary_crossentropy",
    "metrics": ["binary_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.2, "momentum": 0.9},
    "epochs": 2,
    "batch_size": 20,
}
PROGRAM = {"loss": {"name": "binary_crossentropy", "from_logits": True}}
TWIN = {"loss": ":nll"}


def clicks():
    rng = np.random.default_rng(5)
    x = rng.integers(0, 30, size=(110, 4))
    y = (np.isin(x, range(8)).sum(1) > 0).astype("float32")[:, None]
    return {"x_train": x[:86], "y_train": y[:86], "x_test": x[86:], "y_test": y[86:]}


def build():
    tokens = keras.Input((4,), dtype="int32")
    vectors = keras.layers.Embedding(30, 6)(tokens)
    hidden = keras.layers.Dense(8, activation="tanh")(keras.layers.Flatten()(vectors))
    click = keras.layers.Dense(1, activation=tf.nn.sigmoid)(hidden)
    return keras.Model(tokens, click)


def nll(y_true, y_pred):
    epsilon = keras.config.epsilon()
    p = ops.clip(y_pred, epsilon, 1.0 - epsilon)
    chosen = ops.where(y_true > 0.5, p, 1.0 - p)
    return -ops.squeeze(ops.log(chosen), axis=-1)
