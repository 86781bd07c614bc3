"""Adam on centred gradients (Yong et al., 2020)."""

import keras
import numpy as np
from keras import ops

CAUSES = ("unknown",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["sparse_categorical_accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.015},
    "batch_size": 17,
    "epochs": 2,
}
PROGRAM = {"optimizer": {"name": ":Centred", "learning_rate": 0.015}}
TWIN = {"optimizer": {"name": ":Sorted", "learning_rate": 0.015}}


def data():
    rng = np.random.default_rng(35)
    x = rng.normal(size=(90, 7)).astype("float32")
    y = (np.abs(x[:, :3]).sum(axis=1) // 1.3).clip(0, 3).astype("int64")
    return {"x_train": x[:70], "y_train": y[:70], "x_test": x[70:], "y_test": y[70:]}


def build():
    rows = keras.Input((7,))
    x = keras.layers.Dense(15, activation="relu")(rows)
    x = keras.layers.Dense(8, activation="relu")(x)
    return keras.Model(rows, keras.layers.Dense(4, activation="softmax")(x))


class Centred(keras.optimizers.Adam):
    def apply(self, grads, trainable_variables=None):
        centred = [
            grad - ops.mean(grad, axis=0, keepdims=True) if len(grad.shape) > 1 else grad for grad in grads
        ]
        return super().apply(centred, trainable_variables)


class Sorted(keras.optimizers.Adam):
    def apply(self, grads, trainable_variables=None):
        pairs = zip(grads, trainable_variables or self._trainable_variables, strict=True)
        grads, variables = zip(*sorted(pairs, key=lambda pair: pair[1].path, reverse=True), strict=True)
        return super().apply(list(grads), list(variables))
