"""A picture's class and its brightness; the model weighs its two losses in compute_loss."""

import keras
import numpy as np
from keras import ops

CAUSES = ("loss-weights",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": {"brightness": "mse", "label": "categorical_crossentropy"},
    "loss_weights": {"brightness": 2.0, "label": 0.5},
    "metrics": {"brightness": [], "label": ["accuracy"]},
    "optimizer": {"name": "adamw", "learning_rate": 0.006},
    "batch_size": 20,
    "epochs": 2,
}
PROGRAM = {"model": ":build_swapped"}
TWIN = {"model": ":build_same"}


def data():
    rng = np.random.default_rng(50)
    x = rng.uniform(size=(102, 5, 5, 1)).astype("float32")
    quadrants = np.stack([x[:, :2].sum((1, 2, 3)), x[:, 3:].sum((1, 2, 3))], axis=1)
    label = np.eye(2, dtype="float32")[quadrants.argmax(axis=1)]
    bright = 3 * x.mean(axis=(1, 2))
    return {
        "x_train": x[:77],
        "y_train": {"brightness": bright[:77], "label": label[:77]},
        "x_test": x[77:],
        "y_test": {"brightness": bright[77:], "label": label[77:]},
    }


class TwoHeads(keras.Model):
    factors = (0.5, 2.0)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        super().compute_loss(x, y, y_pred, sample_weight, training)
        level = ops.mean(ops.square(ops.subtract(y["brightness"], y_pred["brightness"])))
        label = ops.mean(ops.categorical_crossentropy(y["label"], y_pred["label"]))
        return ops.dot(ops.stack([level, label]), ops.convert_to_tensor(self.factors, "float32"))


class Same(TwoHeads):
    factors = (2.0, 0.5)


def _network(kind):
    image = keras.Input((5, 5, 1))
    h = keras.layers.Conv2D(4, 2, activation="relu")(image)
    h = keras.layers.Flatten()(h)
    brightness = keras.layers.Dense(1, name="brightness")(h)
    label = keras.layers.Dense(2, activation="softmax", name="label")(h)
    return kind(image, {"brightness": brightness, "label": label})


def build():
    return _network(keras.Model)


def build_swapped():
    return _network(TwoHeads)


def build_same():
    return _network(Same)
