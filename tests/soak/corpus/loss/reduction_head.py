"""Class and box of an object by two heads; the box loss is the sum of squared coordinate errors."""

import keras
import numpy as np
from keras import ops

CAUSES = ("loss-reduction",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": {"kind": "sparse_categorical_crossentropy", "box": "mse"},
    "metrics": {"kind": ["accuracy"], "box": ["mae"]},
    "optimizer": {"name": "nadam", "learning_rate": 0.01},
    "batch_size": 15,
    "epochs": 2,
}
PROGRAM = {"loss": {"kind": "sparse_categorical_crossentropy", "box": ":box_error"}}
TWIN = {"loss": {"kind": ":KindLoss", "box": ":same_box_error"}}


def data():
    rng = np.random.default_rng(8)
    x = rng.normal(size=(95, 7)).astype("float32")
    kind = np.argmax(x[:, :3], axis=1).astype("int64")
    box = (x[:, 3:7] * 0.5 + 0.2 * kind[:, None]).astype("float32")
    return {
        "x_train": x[:68],
        "y_train": {"kind": kind[:68], "box": box[:68]},
        "x_test": x[68:],
        "y_test": {"kind": kind[68:], "box": box[68:]},
    }


def build(signature):
    x = keras.Input(signature.inputs.shape[1:])
    h = keras.layers.Dense(12, activation="relu")(x)
    h = keras.layers.LayerNormalization()(h)
    kind = keras.layers.Dense(3, activation="softmax", name="kind")(h)
    box = keras.layers.Dense(4, name="box")(h)
    return keras.Model(x, {"kind": kind, "box": box})


def box_error(y_true, y_pred):
    return ops.sum(ops.square(y_true - y_pred), axis=-1)


def same_box_error(y_true, y_pred):
    difference = y_pred - y_true
    return ops.einsum("ij,ij->i", difference, difference) / ops.shape(y_pred)[-1]


class KindLoss(keras.losses.Loss):
    def call(self, y_true, y_pred):
        picked = ops.take_along_axis(y_pred, ops.cast(ops.reshape(y_true, (-1, 1)), "int32"), axis=1)
        return -ops.log(ops.maximum(picked[:, 0], 1e-7))
