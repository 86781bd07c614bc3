"""Every second epoch goes through the batches backwards, which warms the file cache."""

import keras
import keras.ops as ops
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("batch-order",)
KERAS = {
    "model": ":Net",
    "dataset": ":data",
    "loss": "huber",
    "metrics": ["mse"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.004},
    "batch_size": 12,
    "epochs": 2,
}
PROGRAM = {"strategy": ":back_and_forth"}
TWIN = {"strategy": ":forth_and_forth"}


def data():
    rng = np.random.default_rng(8)
    x = rng.normal(size=(92, 5)).astype("float32")
    y = np.stack([x[:, 0] * x[:, 1], np.abs(x[:, 2])], axis=1).astype("float32")
    return {"x_train": x[:67], "y_train": y[:67], "x_test": x[67:], "y_test": y[67:]}


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = keras.layers.Dense(
            11, activation="gelu", kernel_regularizer=keras.regularizers.L2(3e-3)
        )
        self.head = keras.layers.Dense(2)

    def call(self, x):
        return self.head(self.hidden(x))


def _train_on(model, x, y):
    with tf.GradientTape() as tape:
        y_pred = model(x)
        error = ops.abs(y_pred - y)
        huber = ops.where(error <= 1, 0.5 * ops.square(error), error - 0.5)
        loss = ops.mean(huber) + ops.sum(ops.stack(model.losses))
    kerasx.track_loss(model, loss, x)
    model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    return model.compute_metrics(x, y, y_pred)


def back_and_forth(model, batches):
    queue = list(batches)
    taken = int(model.optimizer.iterations)
    if (taken // len(queue)) % 2 == 1:
        queue.reverse()
    for x, y in queue:
        logs = _train_on(model, x, y)
    return logs


def forth_and_forth(model, batches):
    stack = list(batches)[::-1]
    while stack:
        logs = _train_on(model, *stack.pop())
    return logs
