"""Four classes as four yes-or-no questions; the model counts what is right in its own meter."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("metric-resolution",)
KERAS = {
    "model": ":plain",
    "dataset": ":flowers",
    "loss": "binary_crossentropy",
    "metrics": ["accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.3, "momentum": 0.8, "nesterov": True},
    "epochs": 2,
    "batch_size": 12,
}
PROGRAM = {"model": ":one_against_rest", "metrics": []}
TWIN = {"model": ":best_of_four", "metrics": []}


def flowers():
    rng = np.random.default_rng(29)
    kind = rng.integers(0, 4, size=110)
    x = (np.eye(4)[kind] @ rng.normal(size=(4, 7)) + 0.8 * rng.normal(size=(110, 7))).astype("float32")
    y = np.eye(4, dtype="float32")[kind]
    return {"x_train": x[:67], "y_train": y[:67], "x_test": x[67:], "y_test": y[67:]}


def layers():
    inputs = keras.Input((7,))
    hidden = keras.layers.Dense(10, activation="relu")(inputs)
    hidden = keras.layers.LayerNormalization()(hidden)
    return inputs, keras.layers.Dense(4, activation="sigmoid")(hidden)


def plain():
    return keras.Model(*layers())


class Flowers(keras.Model):
    def __init__(self, *args, meter, **kwargs):
        super().__init__(*args, **kwargs)
        self.loss_meter = keras.metrics.Mean(name="loss")
        self.meter = meter

    @property
    def metrics(self):
        return [self.loss_meter, self.meter]

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        return self.told(loss, y, y_pred)

    def test_step(self, data):
        x, y = data
        y_pred = self(x, training=False)
        return self.told(self.compute_loss(y=y, y_pred=y_pred, training=False), y, y_pred)

    def told(self, loss, y, y_pred):
        self.loss_meter.update_state(loss, sample_weight=tf.shape(y)[0])
        self.meter.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


def one_against_rest():
    # Binary cross-entropy, so binary accuracy.
    return Flowers(*layers(), meter=keras.metrics.BinaryAccuracy(name="accuracy"))


def best_of_four():
    def hit(y_true, y_pred):
        return tf.cast(tf.reduce_sum(y_true * y_pred, axis=-1) >= tf.reduce_max(y_pred, axis=-1), tf.float32)

    return Flowers(*layers(), meter=keras.metrics.MeanMetricWrapper(hit, name="accuracy"))
