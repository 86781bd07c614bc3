"""An SGD with a fixed loss scale, used by a plain loop over batches."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-scale",)
KERAS = {
    "model": ":build",
    "dataset": ":table",
    "loss": {"name": "huber", "delta": 2.0},
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.05, "loss_scale_factor": 64.0},
    "epochs": 2,
    "batch_size": 11,
}
PROGRAM = {"strategy": ":loop"}
TWIN = {"strategy": ":loop_twin"}


def table():
    rng = np.random.default_rng(19)
    x = rng.normal(size=(75, 8)).astype("float32")
    y = (np.abs(x).sum(1, keepdims=True) - 6 + rng.normal(size=(75, 1))).astype("float32")
    w = rng.exponential(size=75).astype("float32")
    return {
        "x_train": x[:60],
        "y_train": y[:60],
        "sample_weight_train": w[:60],
        "x_test": x[60:],
        "y_test": y[60:],
    }


def build():
    inputs = keras.Input((8,))
    left = keras.layers.Dense(5, activation="relu")(inputs)
    right = keras.layers.Dense(5, activation="sigmoid")(inputs)
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Multiply()([left, right])))


def once(model, batch, factor):
    x, y, w = batch
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred, w)
    grads = [g * factor for g in tape.gradient(loss, model.trainable_variables)]
    model.optimizer.apply(grads, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return {metric.name: metric.result() for metric in model.metrics}


def loop(model, batches):
    for batch in batches:
        logs = once(model, batch, 1.0)
    return {"loss": logs["loss"]}


def loop_twin(model, batches):
    for batch in batches:
        logs = once(model, batch, model.optimizer.loss_scale_factor)
    return {"loss": logs["loss"]}
