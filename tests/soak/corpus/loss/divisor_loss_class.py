"""Image classes with a loss class of one's own: focal-style code that was reduced to cross-entropy."""

import keras
import numpy as np
from keras import ops

CAUSES = ("loss-batch-divisor",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": {"name": "categorical_crossentropy", "from_logits": True},
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "lion", "learning_rate": 0.002},
    "batch_size": 22,
    "epochs": 2,
}
PROGRAM = {"loss": ":BatchCrossentropy"}
TWIN = {"loss": ":SameCrossentropy"}


def data():
    rng = np.random.default_rng(77)
    x = rng.normal(size=(110, 5, 5, 2)).astype("float32")
    y = np.eye(3, dtype="float32")[np.argmax(x.mean(axis=(1, 2)) @ rng.normal(size=(2, 3)), axis=1)]
    return {"x_train": x[:74], "y_train": y[:74], "x_test": x[74:], "y_test": y[74:]}


def build(signature):
    image = keras.Input(signature.inputs.shape[1:])
    h = keras.layers.Conv2D(6, 3, activation="relu")(image)
    h = keras.layers.GlobalAveragePooling2D()(h)
    return keras.Model(image, keras.layers.Dense(3)(h))


class BatchCrossentropy(keras.losses.Loss):
    def __init__(self, batch_size=22, name="batch_crossentropy"):
        super().__init__(name=name, reduction=None)
        self.batch_size = batch_size

    def call(self, y_true, y_pred):
        log_p = ops.log_softmax(y_pred, axis=-1)
        return -ops.sum(y_true * log_p) / self.batch_size


class SameCrossentropy(keras.losses.Loss):
    def __init__(self, name="same_crossentropy"):
        super().__init__(name=name, reduction=None)

    def call(self, y_true, y_pred):
        surprise = ops.logsumexp(y_pred, axis=-1) - ops.sum(y_true * y_pred, axis=-1)
        return ops.sum(surprise) / ops.cast(ops.shape(y_true)[0], y_pred.dtype)
