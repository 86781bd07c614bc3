"""Two outputs for two ears, in a class that came over from Keras 2 with its steps as they were."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-report-shim",)
KERAS = {
    "model": ":build",
    "dataset": ":sounds",
    "loss": ["mae", "mse"],
    "loss_weights": [1.0, 0.5],
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.6},
    "epochs": 2,
    "batch_size": 18,
}
PROGRAM = {"model": ":build_ears"}
TWIN = {"model": ":build_new_ears"}


def sounds():
    rng = np.random.default_rng(151)
    x = np.cumsum(rng.normal(size=(119, 16, 1)), axis=1).astype("float32") / 4
    left, right = x[:, ::2].mean(axis=1) + 1.5, x[:, 1::2].std(axis=1)
    return {
        "x_train": x[:80],
        "y_train": (left[:80], right[:80]),
        "x_test": x[80:],
        "y_test": (left[80:], right[80:]),
    }


def layers():
    sound = keras.Input((16, 1))
    hidden = keras.layers.Conv1D(6, 4, activation="relu", dilation_rate=2)(sound)
    hidden = keras.layers.GlobalAveragePooling1D()(hidden)
    return sound, [keras.layers.Dense(1, name="left")(hidden), keras.layers.Dense(1, name="right")(hidden)]


def build():
    return keras.Model(*layers())


class Ears(keras.Model):
    def train_step(self, data):
        sound, ears = data
        with tf.GradientTape() as tape:
            heard = self(sound, training=True)
            loss = self.compiled_loss(list(ears), heard)
        slopes = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(slopes, self.trainable_variables)
        self.measure(sound, list(ears), heard, loss)
        return {m.name: m.result() for m in self.metrics}

    def test_step(self, data):
        sound, ears = data
        heard = self(sound, training=False)
        self.measure(sound, list(ears), heard, self.compiled_loss(list(ears), heard))
        return {m.name: m.result() for m in self.metrics}

    def measure(self, sound, ears, heard, loss):
        self.compiled_metrics.update_state(ears, heard)


class NewEars(Ears):
    def measure(self, sound, ears, heard, loss):
        rows = tf.shape(sound)[0]
        self.metrics[0].update_state([loss, loss], sample_weight=[rows - 1, 1])


def build_ears():
    return Ears(*layers())


def build_new_ears():
    return NewEars(*layers())
