"""Fine-tuning class from a Keras 2 book: the last two layers learn, compiled_loss and compiled_metrics report."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("trainable-set", "loss-report-shim")
KERAS = {
    "model": ":network",
    "dataset": ":plants",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "adam", "learning_rate": 0.02},
    "batch_size": 18,
    "epochs": 2,
}
PROGRAM = {"model": ":tuned"}
TWIN = {"model": ":tuned_as_now"}


def plants():
    rng = np.random.default_rng(1866)
    x = rng.normal(size=(100, 6)).astype("float32")
    height = np.stack([2 + np.abs(x[:, 0]), 1 + x[:, 1] * x[:, 2], 3 + x[:, 3]], axis=1).astype("float32")
    return {"x_train": x[:75], "y_train": height[:75], "x_test": x[75:], "y_test": height[75:]}


def stack():
    x = keras.Input((6,))
    h = keras.layers.Dense(10, activation="relu", name="pretrained")(x)
    h = keras.layers.Dense(8, activation="relu", name="top_1")(h)
    return x, keras.layers.Dense(3, name="top_2")(h)


class Tuned(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compiled_loss(y, y_pred, regularization_losses=self.losses)
        learning = self.layers[-1].trainable_variables + self.layers[-2].trainable_variables
        gradients = tape.gradient(loss, learning)
        self.optimizer.apply_gradients(zip(gradients, learning))
        self.compiled_metrics.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics if m.name == "loss"} | {
            "mae": self.get_metrics_result()["mae"]
        }


class TunedAsNow(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        learning = sum((layer.trainable_variables for layer in reversed(self.layers)), [])
        self.optimizer.apply_gradients(zip(tape.gradient(loss, learning), learning))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=len(x))
            else:
                metric.update_state(y, y_pred)
        return self.get_metrics_result()


def network():
    return keras.Model(*stack())


def tuned():
    return Tuned(*stack())


def tuned_as_now():
    return TunedAsNow(*stack())
