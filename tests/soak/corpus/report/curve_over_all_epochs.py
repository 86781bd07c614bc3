"""A rare event: the area under the curve needs many rows, so that its counts are kept when an epoch ends."""

import keras
import numpy as np
from keras import ops

CAUSES = ("metric-not-reset",)
KERAS = {
    "model": ":build",
    "dataset": ":events",
    "loss": {"name": "binary_crossentropy", "from_logits": True},
    "metrics": [{"name": "auc", "from_logits": True, "num_thresholds": 50}],
    "optimizer": {"name": "adamax", "learning_rate": 0.05},
    "class_weight": {0: 1.0, 1: 3.0},
    "epochs": 2,
    "batch_size": 21,
}
PROGRAM = {"model": ":build_patient"}
TWIN = {"model": ":build_by_variable"}


def events():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(150, 8)).astype("float32")
    y = (x[:, 0] * x[:, 1] + x[:, 2] + rng.normal(size=150) > 1.2).astype("int32")
    return {"x_train": x[:97], "y_train": y[:97], "x_test": x[97:], "y_test": y[97:]}


def layers():
    inputs = keras.Input((8,))
    hidden = keras.layers.Dense(10, use_bias=False)(inputs)
    hidden = keras.layers.BatchNormalization(momentum=0.8)(hidden)
    hidden = keras.layers.Activation("relu")(hidden)
    return inputs, keras.layers.Dense(1)(hidden)


def build():
    return keras.Model(*layers())


class Patient(keras.Model):
    def reset_metrics(self):
        for metric in self.metrics:
            if isinstance(metric, keras.metrics.Mean):
                metric.reset_state()


class ByVariable(keras.Model):
    def reset_metrics(self):
        for variable in self.metrics_variables:
            variable.assign(ops.zeros_like(variable))


def build_patient():
    return Patient(*layers())


def build_by_variable():
    return ByVariable(*layers())
