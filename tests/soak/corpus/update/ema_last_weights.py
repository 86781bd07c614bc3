"""Adam with averaged weights, and a callback that puts back the weights of the epoch it liked best."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("ema-not-finalized",)
KERAS = {
    "model": ":build",
    "dataset": ":levels",
    "loss": "mae",
    "metrics": [],
    "optimizer": {"name": "adam", "learning_rate": 0.03, "use_ema": True, "ema_momentum": 0.9},
    "epochs": 2,
    "batch_size": 20,
}
PROGRAM = {"callbacks": [":KeepWeights"]}
TWIN = {"strategy": ":step_twin"}


def levels():
    rng = np.random.default_rng(83)
    x = rng.normal(size=(105, 8, 1)).astype("float32").cumsum(axis=1)
    y = (x[:, -1] - x[:, 0] + 1).astype("float32")
    return {"x_train": x[:85], "y_train": y[:85], "x_test": x[85:], "y_test": y[85:]}


def build():
    inputs = keras.Input((8, 1))
    maps = keras.layers.Conv1D(6, 4, activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(maps)))


class KeepWeights(keras.callbacks.Callback):
    """The weights at the end of the epoch with the least training loss."""

    def on_train_begin(self, logs=None):
        self.best, self.weights = float("inf"), None

    def on_epoch_end(self, epoch, logs=None):
        if logs["loss"] < self.best:
            self.best, self.weights = logs["loss"], self.model.get_weights()

    def on_train_end(self, logs=None):
        self.model.set_weights(self.weights)


def step_twin(model, data):
    x, y = data
    with tf.GradientTape(persistent=True) as tape:
        y_pred = model(x, training=True)
        loss = tf.reduce_mean(tf.maximum(y - y_pred, y_pred - y))
    pairs = [(tape.gradient(loss, v.value), v) for v in model.trainable_variables]
    model.optimizer.apply_gradients(pairs)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)
