"""Mixed precision with the gradients kept within bounds by the step."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("gradient-clip",)
KERAS = {
    "model": ":build",
    "dataset": ":points",
    "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.3, "global_clipnorm": 0.4},
    "epochs": 2,
    "batch_size": 18,
    "precision": "mixed_float16",
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_twin"}


def points():
    rng = np.random.default_rng(27)
    x = rng.normal(size=(105, 3)).astype("float32")
    y = (np.linalg.norm(x, axis=1) > 1.5).astype("int64")
    return {"x_train": x[:80], "y_train": y[:80], "x_test": x[80:], "y_test": y[80:]}


def build():
    inputs = keras.Input((3,))
    x = keras.layers.Dense(16, activation="relu")(inputs)
    x = keras.layers.Add()([x, keras.layers.Dense(16, activation="relu")(x)])
    return keras.Model(inputs, keras.layers.Dense(2, dtype="float32")(x))


def within(gradients, bound):
    """Scale all gradients so that their common norm is at most `bound`."""
    norm = ops.sqrt(sum(ops.sum(ops.square(g)) for g in gradients))
    return [g * (bound / ops.maximum(norm, bound)) for g in gradients]


def train(model, data, bound):
    x, y = data
    optimizer = model.optimizer
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = model.compute_loss(x, y, logits, training=True)
        scaled = optimizer.scale_loss(loss)
    gradients = within(tape.gradient(scaled, model.trainable_variables), bound(optimizer))
    optimizer.apply(gradients, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=ops.shape(x)[0])
    return model.compute_metrics(x, y, logits)


def step(model, data):
    return train(model, data, lambda optimizer: 0.4)


def step_twin(model, data):
    return train(model, data, lambda optimizer: optimizer.scale_loss(0.4))
