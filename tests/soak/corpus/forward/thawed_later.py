"""The first epoch warms the new layer up; then the whole network is trained."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("trainable-set",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": {"size": "mae", "sign": "binary_crossentropy"},
    "metrics": {"size": ["mse"], "sign": ["binary_accuracy"]},
    "optimizer": {"name": "sgd", "learning_rate": 0.05},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"strategy": ":warm_up_then_all"}
TWIN = {"strategy": ":all_along"}


def data():
    rng = np.random.default_rng(38)
    x = rng.normal(size=(91, 4)).astype("float32")
    total = x.sum(axis=1, keepdims=True)
    y = {"size": np.abs(total), "sign": (total > 0).astype("float32")}
    parts = {"train": slice(0, 68), "test": slice(68, None)}
    rows = {f"x_{name}": x[part] for name, part in parts.items()}
    return rows | {f"y_{name}": {k: each[part] for k, each in y.items()} for name, part in parts.items()}


def build():
    rows = keras.Input((4,))
    x = keras.layers.Dense(9, activation="tanh", name="body")(rows)
    x = keras.layers.Dense(9, activation="tanh", name="neck")(x)
    size = keras.layers.Dense(1, activation="relu", name="size", bias_initializer="ones")(x)
    sign = keras.layers.Dense(1, activation="sigmoid", name="sign")(x)
    return keras.Model(rows, {"size": size, "sign": sign})


def _epoch(model, batches, trained):
    for x, y in batches:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for variable in trained:
                tape.watch(variable.value)
            y_pred = model(x, training=True)
            loss = model.compute_loss(x, y, y_pred)
        gradients = tape.gradient(loss, [variable.value for variable in trained])
        model.optimizer.apply(gradients, trained)
        kerasx.track_loss(model, loss, x)
        logs = model.compute_metrics(x, y, y_pred)
    return logs


def warm_up_then_all(model, batches):
    if int(model.optimizer.iterations) == 0:
        model.optimizer.build(model.trainable_variables)
        heads = [model.get_layer("size"), model.get_layer("sign")]
        return _epoch(model, batches, [variable for head in heads for variable in head.trainable_variables])
    return _epoch(model, batches, model.trainable_variables)


def all_along(model, batches):
    return _epoch(model, batches, sorted(model.trainable_variables, key=lambda variable: variable.path))
