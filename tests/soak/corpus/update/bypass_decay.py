"""Momentum in the optimizer's own slots, moved by the loop itself to save the overhead of apply."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("optimizer-bypassed",)
KERAS = {
    "model": ":build",
    "dataset": ":curves",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0.2},
    "epochs": 2,
    "batch_size": 22,
}
PROGRAM = {"strategy": ":loop"}
TWIN = {"strategy": ":loop_twin"}


def curves():
    rng = np.random.default_rng(57)
    x = rng.uniform(-2, 2, size=(100, 1)).astype("float32")
    y = np.concatenate([np.sin(2 * x), np.cos(x)], axis=1).astype("float32")
    return {"x_train": x[:79], "y_train": y[:79], "x_test": x[79:], "y_test": y[79:]}


def build():
    inputs = keras.Input((1,))
    x = keras.layers.Dense(12, activation="tanh")(inputs)
    x = keras.layers.LayerNormalization()(keras.layers.Dense(12, activation="tanh")(x))
    return keras.Model(inputs, keras.layers.Dense(2)(x))


def epoch(model, batches, decay):
    optimizer, variables = model.optimizer, model.trainable_variables
    if not optimizer.built:
        optimizer.build(variables)
    for x, y in batches:
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = model.compute_loss(x, y, y_pred)
        gradients = tape.gradient(loss, variables)
        rate = tf.convert_to_tensor(optimizer.learning_rate)
        for variable, velocity, gradient in zip(variables, optimizer.momentums, gradients, strict=True):
            variable.assign(variable.value * (1.0 - rate * decay))
            velocity.assign(optimizer.momentum * velocity - rate * gradient)
            variable.assign_add(velocity)
        if decay:
            optimizer.iterations.assign_add(1)
        model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        logs = model.compute_metrics(x, y, y_pred)
    return logs


def loop(model, batches):
    return epoch(model, batches, 0.0)


def loop_twin(model, batches):
    return epoch(model, batches, model.optimizer.weight_decay)
