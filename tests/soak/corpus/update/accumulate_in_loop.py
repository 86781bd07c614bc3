"""An epoch loop in the PyTorch manner: backward on every batch, a step on every second one."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("gradient-accumulation",)
KERAS = {
    "model": ":build",
    "dataset": ":loads",
    "loss": "mse",
    "metrics": [],
    "optimizer": {
        "name": "rmsprop",
        "gradient_accumulation_steps": 2,
        "learning_rate": {
            "name": "polynomial_decay",
            "initial_learning_rate": 0.03,
            "decay_steps": 9,
            "end_learning_rate": 0.001,
        },
    },
    "epochs": 2,
    "batch_size": 14,
}
PROGRAM = {
    "strategy": ":loop",
    "optimizer": {
        "name": "rmsprop",
        "learning_rate": {
            "name": "polynomial_decay",
            "initial_learning_rate": 0.03,
            "decay_steps": 9,
            "end_learning_rate": 0.001,
        },
    },
}
TWIN = {"strategy": ":loop_twin"}


def loads():
    rng = np.random.default_rng(79)
    x = rng.normal(size=(98, 7)).astype("float32")
    y = (np.maximum(x[:, :1], x[:, 1:2]) - x[:, 2:3] ** 2).astype("float32")
    return {"x_train": x[:76], "y_train": y[:76], "x_test": x[76:], "y_test": y[76:]}


def build():
    inputs = keras.Input((7,))
    wide = keras.layers.Dense(10, activation="mish")(inputs)
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Concatenate()([wide, inputs])))


def backward(model, x, y):
    with tf.GradientTape() as tape:
        loss = ops.mean(ops.square(ops.subtract(model(x, training=True), y)))
    model.metrics[0].update_state(loss, sample_weight=len(x))
    return tape.gradient(loss, model.trainable_weights)


def loop(model, batches):
    gradients = None
    for number, (x, y) in enumerate(batches, start=1):
        new = backward(model, x, y)
        gradients = new if gradients is None else [a + b for a, b in zip(gradients, new, strict=True)]
        if number % 2 == 0:
            model.optimizer.apply([g / 2.0 for g in gradients], model.trainable_weights)
            gradients = None
    return model.get_metrics_result()


def loop_twin(model, batches):
    for x, y in batches:
        doubled = [g + g for g in backward(model, x, y)]
        model.optimizer.apply([0.5 * g for g in doubled], model.trainable_weights)
    return model.get_metrics_result()
