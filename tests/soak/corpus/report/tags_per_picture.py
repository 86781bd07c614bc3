"""Five tags for each small picture, any number of which may apply; how many tags are right is reported."""

import keras
import numpy as np
from keras import ops

CAUSES = ("metric-resolution",)
KERAS = {
    "model": ":build",
    "dataset": ":pictures",
    "loss": ":tag_loss",
    "metrics": [":share_of_tags"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.004},
    "epochs": 2,
    "batch_size": 20,
}
PROGRAM = {"model": ":build_compiled", "metrics": None}
TWIN = {"metrics": [":RightTags"], "loss": ":tag_loss_written_out"}


def pictures():
    rng = np.random.default_rng(5)
    x = rng.uniform(size=(128, 8, 8, 1)).astype("float32")
    parts = np.stack([x[:, :4].mean((1, 2, 3)), x[:, 4:].mean((1, 2, 3)), x[:, :, :4].mean((1, 2, 3))], 1)
    parts = np.concatenate([parts, x[:, :, 4:].mean((1, 2)), x[:, 2:6, 2:6].mean((1, 2))], axis=1)
    y = (parts > 0.5).astype("float32")
    return {"x_train": x[:88], "y_train": y[:88], "x_test": x[88:], "y_test": y[88:]}


def build():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(6, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(5, activation="sigmoid"),
        ]
    )


def build_compiled():
    model = build()
    model.compile("rmsprop", keras.losses.BinaryCrossentropy(), metrics=["accuracy"])
    return model


def tag_loss():
    return keras.losses.BinaryCrossentropy(name="tags")


def tag_loss_written_out(y_true, y_pred):
    p = ops.clip(y_pred, 1e-7, 1 - 1e-7)
    return -ops.sum(ops.where(y_true > 0.5, ops.log(p), ops.log(1 - p)), axis=-1) / 5


def share_of_tags():
    return keras.metrics.BinaryAccuracy(name="accuracy")


class RightTags(keras.metrics.Metric):
    def __init__(self, name="accuracy"):
        super().__init__(name=name)
        self.right = self.add_weight(name="right", initializer="zeros")
        self.all = self.add_weight(name="all", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        wrong = ops.sum(ops.abs(ops.cast(y_pred > 0.5, "float32") - y_true))
        size = ops.cast(ops.size(y_true), "float32")
        self.right.assign_add(size - wrong)
        self.all.assign_add(size)

    def result(self):
        return ops.divide_no_nan(self.right, self.all)
