"""Price and kind of a thing from one network, with a meter each for the two losses and their sum."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("loss-report-unweighted",)
KERAS = {
    "model": ":build",
    "dataset": ":things",
    "loss": {"price": "mae", "kind": "sparse_categorical_crossentropy"},
    "metrics": [],
    "optimizer": {"name": "adam", "learning_rate": 0.01, "beta_1": 0.8},
    "epochs": 2,
    "batch_size": 30,
}
PROGRAM = {"model": ":build_metered"}
TWIN = {"model": ":build_weighing"}


def things():
    rng = np.random.default_rng(127)
    x = rng.normal(size=(141, 5)).astype("float32")
    price = (np.exp(0.5 * x[:, :1]) + x[:, 1:2]).astype("float32")
    kind = np.argmax(x[:, 2:] + 0.5 * rng.normal(size=(141, 3)), axis=1).astype("int32")
    return {
        "x_train": x[:94],
        "y_train": {"price": price[:94], "kind": kind[:94]},
        "x_test": x[94:],
        "y_test": {"price": price[94:], "kind": kind[94:]},
    }


def layers():
    x = keras.Input((5,))
    hidden = keras.layers.Dense(14, activation="mish")(x)
    price = keras.layers.Dense(1, name="price")(hidden)
    return x, {"price": price, "kind": keras.layers.Dense(3, activation="softmax", name="kind")(hidden)}


def build():
    return keras.Model(*layers())


class Metered(keras.Model):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.meters = {name: keras.metrics.Mean(name=name) for name in ("loss", "price_loss", "kind_loss")}

    @property
    def metrics(self):
        return list(self.meters.values())

    def both(self, y, y_pred):
        price = ops.mean(ops.abs(y_pred["price"] - y["price"]))
        kind = ops.mean(keras.losses.sparse_categorical_crossentropy(y["kind"], y_pred["kind"]))
        return {"loss": price + kind, "price_loss": price, "kind_loss": kind}

    def update(self, losses, rows):
        for name, loss in losses.items():
            self.meters[name].update_state(loss)
        return self.get_metrics_result()

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            losses = self.both(y, self(x, training=True))
        self.optimizer.apply(tape.gradient(losses["loss"], self.trainable_weights), self.trainable_weights)
        return self.update(losses, ops.shape(x)[0])

    def test_step(self, data):
        x, y = data
        return self.update(self.both(y, self(x, training=False)), ops.shape(x)[0])


class Weighing(Metered):
    def update(self, losses, rows):
        for name, meter in self.meters.items():
            meter.update_state(losses[name], sample_weight=rows)
        return {name: meter.result() for name, meter in self.meters.items()}


def build_metered():
    return Metered(*layers())


def build_weighing():
    return Weighing(*layers())
