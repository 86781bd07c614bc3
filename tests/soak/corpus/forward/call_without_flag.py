"""A subclassed network with dropout, and a step that says it is training."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("training-flag",)
KERAS = {
    "model": ":Net",
    "dataset": ":data",
    "loss": "mean_squared_error",
    "metrics": ["mae"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.005},
    "batch_size": 21,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":silent_step"}


def data():
    rng = np.random.default_rng(58)
    x = rng.normal(size=(102, 5, 3)).astype("float32")
    y = x.max(axis=1)[:, :2]
    return {"x_train": x[:80], "y_train": y[:80], "x_test": x[80:], "y_test": y[80:]}


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.gru = keras.layers.GRU(8)
        self.drop = keras.layers.Dropout(0.3, seed=17)
        self.out = keras.layers.Dense(2)

    def call(self, x):
        return self.out(self.drop(self.gru(x)))


def _finish(model, x, y, y_pred, loss, tape):
    variables = model.trainable_variables
    model.optimizer.apply(tape.gradient(loss, variables), variables)
    model.metrics[0].update_state(loss, sample_weight=ops.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def step(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = ops.mean(ops.square(y - y_pred))
    return _finish(model, x, y, y_pred, loss, tape)


def silent_step(model, data):
    """Layer by layer, with the dropout left out, which does nothing when nobody trains."""
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model.out(model.gru(x))
        loss = tf.nn.l2_loss(y_pred - y) / tf.cast(tf.size(y) / 2, tf.float32)
    return _finish(model, x, y, y_pred, loss, tape)
