"""Gradients of two batches are kept and applied together by the step, under a rate that drops."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("gradient-accumulation",)
KERAS = {
    "model": ":build",
    "dataset": ":grains",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["accuracy"],
    "optimizer": {
        "name": "sgd",
        "gradient_accumulation_steps": 2,
        "learning_rate": {
            "name": "piecewise_constant_decay",
            "boundaries": [2, 6],
            "values": [0.2, 0.08, 0.02],
        },
    },
    "epochs": 2,
    "batch_size": 16,
}
PROGRAM = {
    "strategy": ":step",
    "optimizer": {
        "name": "sgd",
        "learning_rate": {
            "name": "piecewise_constant_decay",
            "boundaries": [2, 6],
            "values": [0.2, 0.08, 0.02],
        },
    },
}
TWIN = {"strategy": ":step_twin"}
kept = []


def grains():
    rng = np.random.default_rng(71)
    x = rng.normal(size=(94, 5)).astype("float32")
    y = np.digitize(x[:, 0] + x[:, 1], [-0.6, 0.6])
    return {"x_train": x[:75], "y_train": y[:75], "x_test": x[75:], "y_test": y[75:]}


def build():
    return keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def gradients_of(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return tape.gradient(loss, model.trainable_variables), model.compute_metrics(x, y, y_pred)


def step(model, data):
    gradients, logs = gradients_of(model, data)
    kept.append(gradients)
    if len(kept) == 2:
        mean = [tf.add_n(each) / 2 for each in zip(*kept, strict=True)]
        kept.clear()
        model.optimizer.apply(mean, model.trainable_variables)
    return logs


def step_twin(model, data):
    gradients, logs = gradients_of(model, data)
    pairs = list(zip(gradients, model.trainable_variables, strict=True))
    model.optimizer.build(model.trainable_variables) if not model.optimizer.built else None
    model.optimizer.apply_gradients(reversed(pairs))
    return logs
