"""Keras trains; a callback puts the loss of the whole training set into the curve, as it is afterwards."""

import keras
import numpy as np

CAUSES = ("loss-report-moving",)
KERAS = {
    "model": ":build",
    "dataset": ":stars",
    "loss": "categorical_crossentropy",
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.02},
    "epochs": 2,
    "batch_size": 20,
}
PROGRAM = {"callbacks": [":AfterTheEpoch"]}
TWIN = {"callbacks": [":Beside"]}


def stars():
    rng = np.random.default_rng(173)
    kind = rng.integers(0, 4, size=131)
    x = (rng.normal(size=(4, 10))[kind] * 0.8 + rng.normal(size=(131, 10))).astype("float32")
    y = np.eye(4, dtype="float32")[kind]
    return {"x_train": x[:86], "y_train": y[:86], "x_test": x[86:], "y_test": y[86:]}


def build():
    return keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.Dense(12, activation="relu"),
            keras.layers.LayerNormalization(),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )


class AfterTheEpoch(keras.callbacks.Callback):
    def whole(self):
        rows = stars()
        return self.model.evaluate(
            rows["x_train"], rows["y_train"], batch_size=50, verbose=0, return_dict=True
        )

    def on_epoch_end(self, epoch, logs=None):
        logs["loss"] = self.whole()["loss"]


class Beside(AfterTheEpoch):
    curve = ()

    def on_epoch_end(self, epoch, logs=None):
        self.curve = (*self.curve, self.whole()["loss"])
        logs["loss"] = float(np.float32(logs["loss"]) * np.float32(2)) / 2
