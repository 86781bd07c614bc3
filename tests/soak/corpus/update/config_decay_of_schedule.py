"""A schedule that was set for the number of batches of another data set."""

import keras
import numpy as np

CAUSES = ("optimizer-config",)
KERAS = {
    "model": ":build",
    "dataset": ":bags",
    "loss": "poisson",
    "metrics": [],
    "optimizer": {
        "name": "adagrad",
        "learning_rate": {
            "name": "inverse_time_decay",
            "initial_learning_rate": 0.2,
            "decay_steps": 4,
            "decay_rate": 0.5,
        },
    },
    "epochs": 2,
    "batch_size": 9,
}
PROGRAM = {
    "optimizer": {
        "name": "adagrad",
        "learning_rate": {
            "name": "inverse_time_decay",
            "initial_learning_rate": 0.2,
            "decay_steps": 40,
            "decay_rate": 0.5,
        },
    }
}
TWIN = {"optimizer": {"name": "adagrad", "learning_rate": {"name": ":Hyperbola"}}}


def bags():
    rng = np.random.default_rng(53)
    x = rng.poisson(1.0, size=(68, 12)).astype("float32")
    y = rng.poisson(np.exp(0.15 * x[:, :3].sum(1, keepdims=True))).astype("float32")
    return {"x_train": x[:53], "y_train": y[:53], "x_test": x[53:], "y_test": y[53:]}


def build():
    return keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(7, activation="relu", bias_initializer="ones"),
            keras.layers.Dense(1, activation="softplus"),
        ]
    )


class Hyperbola(keras.optimizers.schedules.LearningRateSchedule):
    """0.2 * 8 / (8 + step), which is the same decay."""

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        return 1.6 / (8.0 + step)

    def get_config(self):
        return {}
