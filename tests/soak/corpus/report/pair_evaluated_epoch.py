"""A loop that trains for an epoch and reports what an evaluation of the training rows says."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-report-moving", "metric-after-update")
KERAS = {
    "model": ":build",
    "dataset": ":roads",
    "loss": "mae",
    "metrics": ["mse"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.01},
    "epochs": 2,
    "batch_size": 13,
}
PROGRAM = {"strategy": ":epoch"}
TWIN = {"strategy": ":epoch_as_told"}


def roads():
    rng = np.random.default_rng(229)
    x = rng.uniform(-1, 1, size=(107, 4)).astype("float32")
    y = (np.hypot(x[:, :1], x[:, 1:2]) - x[:, 2:3] + 1).astype("float32")
    return {"x_train": x[:71], "y_train": y[:71], "x_test": x[71:], "y_test": y[71:]}


def build():
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(12, activation="elu"), keras.layers.Dense(1)]
    )


def train(model, batches):
    for data in batches:
        logs = model.train_step(data)
    return {name: float(value) for name, value in logs.items()}


def epoch(model, batches):
    train(model, batches)
    rows = roads()
    return model.evaluate(rows["x_train"], rows["y_train"], verbose=0, return_dict=True)


def epoch_as_told(model, batches):
    told = train(model, batches)
    rows = roads()
    state = [tf.convert_to_tensor(v) for v in model.metrics_variables]
    model.evaluate(rows["x_train"], rows["y_train"], verbose=0)
    for variable, value in zip(model.metrics_variables, state, strict=True):
        variable.assign(value)
    return told
