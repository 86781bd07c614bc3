"""Adam through update_step, variable by variable, so that each can be looked at on the way."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("optimizer-bypassed",)
KERAS = {
    "model": ":build",
    "dataset": ":words",
    "loss": "binary_crossentropy",
    "metrics": ["binary_accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.1},
    "epochs": 2,
    "batch_size": 24,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_twin"}


def words():
    rng = np.random.default_rng(61)
    x = rng.integers(0, 18, size=(106, 5))
    y = ((x % 3 == 0).sum(1) > 1).astype("float32")[:, None]
    w = np.where(y[:, 0] > 0, 1.5, 0.5).astype("float32")
    return {
        "x_train": x[:84],
        "y_train": y[:84],
        "sample_weight_train": w[:84],
        "x_test": x[84:],
        "y_test": y[84:],
    }


def build():
    tokens = keras.Input((5,), dtype="int32")
    vectors = keras.layers.Embedding(18, 4)(tokens)
    state = keras.layers.LSTM(5)(vectors)
    return keras.Model(tokens, keras.layers.Dense(1, activation="sigmoid")(state))


def gradients_of(model, data):
    x, y, w = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=w)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return tape.gradient(loss, model.trainable_variables), model.compute_metrics(x, y, y_pred, w)


def step(model, data):
    grads, logs = gradients_of(model, data)
    optimizer = model.optimizer
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    for grad, variable in zip(grads, model.trainable_variables, strict=True):
        optimizer.update_step(grad, variable.value, optimizer.learning_rate)
    return logs


def step_twin(model, data):
    grads, logs = gradients_of(model, data)
    optimizer = model.optimizer
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    rate = optimizer.learning_rate
    for grad, variable in zip(grads, model.trainable_variables, strict=True):
        variable.assign_sub(variable * optimizer.weight_decay * rate)
        optimizer.update_step(grad, variable.value, rate)
    optimizer.iterations.assign_add(1)
    return logs
