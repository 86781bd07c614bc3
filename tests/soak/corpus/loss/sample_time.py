"""Each reading of a series has its own confidence; a model class with its own train_step."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("sample-weight",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "huber",
    "metrics": [],
    "weighted_metrics": ["mae"],
    "optimizer": {"name": "adam", "learning_rate": 0.005, "amsgrad": True},
    "batch_size": 19,
    "epochs": 2,
}
PROGRAM = {"model": ":build_own"}
TWIN = {"model": ":build_same"}


def data():
    rng = np.random.default_rng(52)
    x = rng.normal(size=(87, 6, 2)).astype("float32")
    y = np.cumsum(x[..., :1] - x[..., 1:], axis=1).astype("float32")
    trust = rng.uniform(0.0, 2.5, size=(87, 6)).astype("float32")
    return {
        "x_train": x[:62],
        "y_train": y[:62],
        "sample_weight_train": trust[:62],
        "x_test": x[62:],
        "y_test": y[62:],
        "sample_weight_test": trust[62:],
    }


class Own(keras.Model):
    def total(self, x, y, y_pred, sample_weight):
        return self.compute_loss(x=x, y=y, y_pred=y_pred)

    def train_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.total(x, y, y_pred, sample_weight)
        self.optimizer.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=ops.shape(x)[0])
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)


class Same(Own):
    def total(self, x, y, y_pred, sample_weight):
        error = ops.abs(ops.squeeze(y_pred - y, -1))
        small = ops.minimum(error, 1.0)
        return ops.mean(sample_weight * (small * (error - 0.5 * small)))


def _network(kind):
    series = keras.Input((6, 2))
    h = keras.layers.LSTM(6, return_sequences=True, recurrent_dropout=0.1)(series)
    return kind(series, keras.layers.TimeDistributed(keras.layers.Dense(1))(h))


def build():
    return _network(keras.Model)


def build_own():
    return _network(Own)


def build_same():
    return _network(Same)
