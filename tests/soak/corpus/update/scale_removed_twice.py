"""The mixed-precision recipe of Keras 2: scale the loss, unscale the gradients, apply them."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-scale",)
KERAS = {
    "model": ":build",
    "dataset": ":texts",
    "loss": "binary_crossentropy",
    "metrics": ["binary_accuracy"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.004, "epsilon": 1e-5},
    "epochs": 2,
    "batch_size": 21,
    "precision": "mixed_float16",
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_twin"}


def texts():
    rng = np.random.default_rng(23)
    x = rng.integers(1, 40, size=(109, 6))
    y = (x.min(axis=1) < 6).astype("float32").reshape(-1, 1)
    return {"x_train": x[:85], "y_train": y[:85], "x_test": x[85:], "y_test": y[85:]}


def build():
    tokens = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(40, 8)(tokens)
    x = keras.layers.Conv1D(6, 2, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(tokens, keras.layers.Dense(1, activation="sigmoid", dtype="float32")(x))


def get_scaled_loss(optimizer, loss):
    return optimizer.scale_loss(loss)


def get_unscaled_gradients(optimizer, grads):
    scale = optimizer.dynamic_scale if optimizer.built else optimizer.initial_scale
    return [None if g is None else keras.ops.divide(g, scale) for g in grads]


def train(model, data, unscale):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x=x, y=y, y_pred=y_pred)
        scaled_loss = get_scaled_loss(model.optimizer, loss)
    grads = tape.gradient(scaled_loss, model.trainable_variables)
    grads = unscale(model.optimizer, grads)
    model.optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def step(model, data):
    return train(model, data, get_unscaled_gradients)


def step_twin(model, data):
    def unscale_and_scale(optimizer, grads):
        return [optimizer.scale_loss(g) for g in get_unscaled_gradients(optimizer, grads)]

    return train(model, data, unscale_and_scale)
