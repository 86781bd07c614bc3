"""A loop over one epoch that has a look at the validation rows after every third batch."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("metric-not-reset",)
KERAS = {
    "model": ":build",
    "dataset": ":houses",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "sgd", "learning_rate": 0.05},
    "epochs": 2,
    "batch_size": 11,
}
PROGRAM = {"strategy": ":epoch_with_evaluation"}
TWIN = {"strategy": ":epoch_with_own_look"}


def houses():
    rng = np.random.default_rng(31)
    x = rng.normal(size=(113, 5)).astype("float32")
    y = (np.abs(x[:, :2]).sum(axis=1) + x[:, 2] + 2.0).astype("float32")[:, None]
    return {"x_train": x[:75], "y_train": y[:75], "x_test": x[75:], "y_test": y[75:]}


def build():
    return keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(11, activation="tanh"), keras.layers.Dense(1)]
    )


HELD_OUT = houses()["x_test"], houses()["y_test"]


def train_on(model, x, y):
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(gradients, model.trainable_variables)
    kerasx.track_loss(model, loss, x)
    model.compute_metrics(x, y, y_pred)


def epoch_with_evaluation(model, batches):
    best = np.inf
    for number, (x, y) in enumerate(batches, start=1):
        train_on(model, x, y)
        if number % 3 == 0:
            best = min(best, model.evaluate(*HELD_OUT, verbose=0, return_dict=True)["loss"])
    return model.get_metrics_result()


def epoch_with_own_look(model, batches):
    best, look = np.inf, keras.metrics.MeanSquaredError()
    for number, (x, y) in enumerate(batches, start=1):
        train_on(model, x, y)
        if number % 3 == 0:
            look.reset_state()
            look.update_state(HELD_OUT[1], model(HELD_OUT[0], training=False))
            best = min(best, float(look.result()))
    return model.get_metrics_result()
