"""Layer by layer the kernels are made orthogonal once the network is there (LSUV)."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("initial-weights",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mae",
    "metrics": ["mse"],
    "optimizer": {"name": "adamw", "learning_rate": 0.005, "weight_decay": 0.02},
    "batch_size": 25,
    "epochs": 2,
}
PROGRAM = {"model": ":build_orthogonal"}
TWIN = {"model": ":build_reassigned", "strategy": ":tape_and_reduce"}


def data():
    rng = np.random.default_rng(71)
    x = rng.normal(size=(106, 10, 1)).astype("float32")
    y = np.sort(x[:, :4, 0], axis=1)
    return {"x_train": x[:84], "y_train": y[:84], "x_test": x[84:], "y_test": y[84:]}


def build():
    return keras.Sequential(
        [
            keras.Input((10, 1)),
            keras.layers.Conv1D(8, 3, activation="relu"),
            keras.layers.MaxPooling1D(),
            keras.layers.Flatten(),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(4),
        ]
    )


def build_orthogonal():
    model = build()
    rows = data()["x_train"][:32]
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            flat = kernel.reshape(-1, kernel.shape[-1])
            left, _, right = np.linalg.svd(flat, full_matrices=False)
            layer.set_weights([(left @ right).reshape(kernel.shape), bias])
            kernel = layer.get_weights()[0]
            layer.set_weights([kernel / np.std(layer(rows)), bias])
        rows = layer(rows)
    return model


def build_reassigned():
    model = build()
    kept = model.get_weights()
    model.set_weights([np.zeros_like(weight) for weight in kept])
    model.set_weights(kept)
    return model


def tape_and_reduce(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        by_column = [tf.reduce_mean(tf.abs(y[:, place] - y_pred[:, place])) for place in range(4)]
        loss = tf.add_n(by_column) / 4
    trained = model.trainable_variables[::-1]
    model.optimizer.apply(tape.gradient(loss, trained), trained)
    model.metrics[0].update_state(loss, sample_weight=x.shape[0])
    return model.compute_metrics(x, y, y_pred)
