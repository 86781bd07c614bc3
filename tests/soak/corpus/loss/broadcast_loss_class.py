"""The quantile loss as a Loss subclass; at the median it is the absolute error."""

import keras
import numpy as np
from keras import ops

CAUSES = ("shape-broadcast",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mae",
    "metrics": [],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 19,
    "epochs": 2,
}
PROGRAM = {"loss": ":PinballLoss"}
TWIN = {"loss": {"name": ":PinballLoss", "column": True}}


def data():
    rng = np.random.default_rng(29)
    x = rng.uniform(size=(90, 6, 6, 1)).astype("float32")
    left, right = x[:, :, :3].mean(axis=(1, 2, 3)), x[:, :, 3:].mean(axis=(1, 2, 3))
    y = (9 * (left - right)).astype("float32")
    return {"x_train": x[:66], "y_train": y[:66], "x_test": x[66:], "y_test": y[66:]}


def build(signature):
    image = keras.Input(signature.inputs.shape[1:])
    h = keras.layers.Conv2D(4, 3, activation="relu")(image)
    h = keras.layers.MaxPooling2D(2)(h)
    return keras.Model(image, keras.layers.Dense(1)(keras.layers.Flatten()(h)))


class PinballLoss(keras.losses.Loss):
    def __init__(self, quantile=0.5, column=False, name="pinball"):
        super().__init__(name=name)
        self.quantile = quantile
        self.column = column

    def call(self, y_true, y_pred):
        if self.column:
            y_true = ops.expand_dims(y_true, -1)
        error = y_true - y_pred
        above = self.quantile * ops.relu(error)
        below = (1 - self.quantile) * ops.relu(-error)
        return 2 * ops.mean(above + below, axis=-1)
