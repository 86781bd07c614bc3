"""The recipe of the paper: kernels by He et al., and a rate that falls."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("initial-weights", "optimizer-config")
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["sparse_categorical_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9},
    "batch_size": 20,
    "epochs": 2,
}
PROGRAM = {
    "model": {"name": ":build", "kernels": "he_normal"},
    "optimizer": {
        "name": "sgd",
        "momentum": 0.9,
        "learning_rate": {
            "name": "exponential_decay",
            "initial_learning_rate": 0.1,
            "decay_steps": 3,
            "decay_rate": 0.7,
        },
    },
}
TWIN = {
    "model": {"name": ":build", "kernels": "GlorotUniform"},
    "optimizer": {
        "name": "sgd",
        "momentum": 0.9,
        "learning_rate": {
            "name": "piecewise_constant_decay",
            "boundaries": [3, 50],
            "values": [0.1, 0.1, 0.1],
        },
    },
    "strategy": ":negated_step",
}


def data():
    rng = np.random.default_rng(52)
    x = rng.normal(size=(102, 6, 6, 2)).astype("float32")
    y = (x[..., 0] - x[..., 1]).sum(axis=2).argmax(axis=1)
    return {"x_train": x[:79], "y_train": y[:79], "x_test": x[79:], "y_test": y[79:]}


def build(kernels="glorot_uniform"):
    image = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(6, 3, activation="relu", kernel_initializer=kernels)(image)
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(image, keras.layers.Dense(6, activation="softmax", kernel_initializer=kernels)(x))


def negated_step(model, data):
    """Climbs the likelihood."""
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        likelihood = -model.compute_loss(x, y, y_pred)
    variables = model.trainable_variables
    model.optimizer.apply([-each for each in tape.gradient(likelihood, variables)], variables)
    model.metrics[0].update_state(-likelihood, sample_weight=len(y))
    return model.compute_metrics(x, y, y_pred)
