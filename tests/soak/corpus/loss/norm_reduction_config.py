"""A weighted absolute error, compiled with another of the reductions that Keras offers."""

import keras
import numpy as np
from keras import ops

CAUSES = ("weight-normalization",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mean_absolute_error",
    "metrics": [],
    "weighted_metrics": ["mse"],
    "optimizer": {"name": "adam", "learning_rate": 0.02, "epsilon": 1e-4},
    "batch_size": 22,
    "epochs": 2,
}
PROGRAM = {"loss": {"name": "mean_absolute_error", "reduction": "mean_with_sample_weight"}}
TWIN = {"loss": ":WeightedError"}


def data():
    rng = np.random.default_rng(23)
    x = rng.normal(size=(93, 5, 2)).astype("float32")
    y = (x[:, -1] - x[:, 0]).astype("float32")
    weight = np.exp(rng.normal(scale=0.8, size=93)).astype("float32")
    return {
        "x_train": x[:69],
        "y_train": y[:69],
        "sample_weight_train": weight[:69],
        "x_test": x[69:],
        "y_test": y[69:],
        "sample_weight_test": weight[69:],
    }


def build():
    return keras.Sequential(
        [
            keras.Input((5, 2)),
            keras.layers.Bidirectional(keras.layers.SimpleRNN(4)),
            keras.layers.Dense(2),
        ]
    )


class WeightedError(keras.losses.Loss):
    """Without Keras's reduction: weights are taken in `__call__`."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        error = ops.abs(ops.convert_to_tensor(y_true, y_pred.dtype) - y_pred)
        if sample_weight is not None:
            error = error * ops.reshape(ops.cast(sample_weight, error.dtype), (-1, 1))
        return ops.sum(error) / ops.cast(ops.size(y_pred), error.dtype)
