"""A peek at the predictions before each step, and the squared error of Bishop's book."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("extra-forward", "loss-reduction")
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "sgd", "learning_rate": 0.02},
    "batch_size": 14,
    "epochs": 2,
}
PROGRAM = {"strategy": ":peeking_step"}
TWIN = {"strategy": ":quiet_step"}


def data():
    rng = np.random.default_rng(37)
    x = rng.normal(size=(94, 5)).astype("float32")
    y = np.concatenate([x[:, :3] ** 2, np.sign(x[:, 3:])], axis=1)
    return {"x_train": x[:74], "y_train": y[:74], "x_test": x[74:], "y_test": y[74:]}


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.layers_in_order = [
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dropout(0.2, seed=70),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dropout(0.2, seed=71),
            keras.layers.Dense(5),
        ]

    def call(self, x, training=False):
        for layer in self.layers_in_order:
            x = layer(x, training=training) if isinstance(layer, keras.layers.Dropout) else layer(x)
        return x


def build():
    return Net()


def _learn(model, x, y, objective):
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = objective(y, y_pred)
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(gradients, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=ops.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def peeking_step(model, data):
    x, y = data
    peek = model(x, training=True)
    tf.debugging.assert_all_finite(peek, "the network has left the finite numbers")
    return _learn(model, x, y, lambda y, y_pred: ops.mean(ops.sum(ops.square(y - y_pred), axis=1)))


def quiet_step(model, data):
    x, y = data
    peek = model(x, training=False)
    tf.debugging.assert_all_finite(peek, "the network has left the finite numbers")
    return _learn(model, x, y, lambda y, y_pred: ops.mean(ops.sum(ops.square(y - y_pred), axis=1)) / 5)
