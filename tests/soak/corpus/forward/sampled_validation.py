"""Validation with dropout on (Monte Carlo dropout), as the network is used later."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("training-flag",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "binary_crossentropy",
    "metrics": ["binary_accuracy", "auc"],
    "optimizer": {"name": "nadam", "learning_rate": 0.01},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"strategy": {"name": "custom-step", "test_step": ":sampled"}}
TWIN = {"strategy": {"name": "custom-step", "test_step": ":in_pieces"}}


def data():
    rng = np.random.default_rng(20)
    x = rng.normal(size=(106, 7)).astype("float32")
    y = (x[:, 0] * x[:, 1] > 0).astype("float32")[:, None]
    return {"x_train": x[:68], "y_train": y[:68], "x_test": x[68:], "y_test": y[68:]}


def build():
    rows = keras.Input((7,))
    x = keras.layers.Dense(15, activation="relu", kernel_regularizer="l2")(rows)
    x = keras.layers.GaussianDropout(0.3, seed=5)(x)
    x = keras.layers.Dense(8, activation="relu")(x)
    x = keras.layers.Dropout(0.2, seed=6)(x)
    return keras.Model(rows, keras.layers.Dense(1, activation="sigmoid")(x))


def _score(model, x, y, y_pred):
    loss = model.compute_loss(x, y, y_pred, training=False)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def sampled(model, data):
    x, y = data
    return _score(model, x, y, model(x, training=True))


def in_pieces(model, data):
    """Row by row, which needs less memory."""
    x, y = data
    rows = [model(x[number : number + 1], training=False) for number in range(x.shape[0])]
    return _score(model, x, y, tf.concat(rows, 0))
