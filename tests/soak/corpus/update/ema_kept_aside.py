"""An optimizer whose averages are for a second, smoother copy of the model."""

import keras
import numpy as np
from keras import ops

CAUSES = ("ema-not-finalized",)
KERAS = {
    "model": ":build",
    "dataset": ":marks",
    "loss": "categorical_crossentropy",
    "metrics": ["categorical_accuracy"],
    "optimizer": {
        "name": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "use_ema": True,
        "ema_momentum": 0.75,
    },
    "epochs": 2,
    "batch_size": 24,
}
PROGRAM = {"optimizer": ":aside"}
TWIN = {"optimizer": ":twin"}


def marks():
    rng = np.random.default_rng(87)
    x = rng.normal(size=(108, 10)).astype("float32")
    y = np.eye(3, dtype="float32")[np.digitize(x[:, :5].sum(1), [-1, 1])]
    return {"x_train": x[:86], "y_train": y[:86], "x_test": x[86:], "y_test": y[86:]}


def build():
    return keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


class Aside(keras.optimizers.SGD):
    """Keeps the averages where they are: the copy asks for them."""

    def finalize_variable_values(self, var_list):
        self.averages_for_copy = [ops.copy(average) for average in self._model_variables_moving_average]


class Twin(keras.optimizers.SGD):
    """Moves the weights by the way that is left to their averages."""

    def finalize_variable_values(self, var_list):
        for variable, average in zip(var_list, self._model_variables_moving_average, strict=True):
            variable.assign_add(ops.subtract(average, variable))


OPTIONS = {"learning_rate": 0.1, "momentum": 0.9, "use_ema": True, "ema_momentum": 0.75}


def aside():
    return Aside(**OPTIONS)


def twin():
    return Twin(**OPTIONS)
