"""'We halve the learning rate after each epoch': LearningRateScheduler, with epochs as the log prints them."""

import keras
import numpy as np

CAUSES = ("optimizer-config",)
KERAS = {
    "model": ":cnn1d",
    "dataset": ":heartbeats",
    "loss": "binary_crossentropy",
    "metrics": ["binary_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.2},
    "batch_size": 24,
    "epochs": 2,
    "callbacks": [":halving"],
}
PROGRAM = {"callbacks": [":halving_from_one"]}
TWIN = {"callbacks": [":Halving"]}


def heartbeats():
    rng = np.random.default_rng(60)
    y = rng.integers(0, 2, size=(100, 1)).astype("float32")
    t = np.arange(16)
    x = np.sin(t * (0.8 + 0.5 * y)) + 0.4 * rng.normal(size=(100, 16))
    x = x.astype("float32")[..., None]
    return {"x_train": x[:78], "y_train": y[:78], "x_test": x[78:], "y_test": y[78:]}


def cnn1d():
    return keras.Sequential(
        [
            keras.Input((16, 1)),
            keras.layers.Conv1D(6, 5, activation="relu"),
            keras.layers.MaxPooling1D(3),
            keras.layers.Flatten(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )


def halving():
    return keras.callbacks.LearningRateScheduler(lambda epoch: 0.2 * 0.5**epoch)


def halving_from_one():
    return keras.callbacks.LearningRateScheduler(lambda epoch: 0.2 * 0.5 ** (epoch + 1))


class Halving(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch > 0:
            rate = self.model.optimizer.learning_rate
            self.model.optimizer.learning_rate = float(rate) / 2

    def on_epoch_end(self, epoch, logs=None):
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
