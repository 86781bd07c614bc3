"""A loop from a textbook, put under a network with dropout and weight penalties."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("training-flag", "loss-extra")
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "categorical_crossentropy",
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"strategy": ":textbook"}
TWIN = {"strategy": ":textbook_with_footnotes"}


def data():
    rng = np.random.default_rng(93)
    x = rng.normal(size=(105, 8)).astype("float32")
    y = keras.utils.to_categorical((x[:, :5] ** 2).argmax(axis=1), 5)
    return {"x_train": x[:83], "y_train": y[:83], "x_test": x[83:], "y_test": y[83:]}


def build():
    rows = keras.Input((8,))
    x = keras.layers.Dense(20, activation="relu", kernel_regularizer=keras.regularizers.L1(0.002))(rows)
    x = keras.layers.Dropout(0.3, seed=10)(x)
    x = keras.layers.Dense(5, activation="softmax", bias_regularizer="l2", kernel_regularizer="l2")(x)
    return keras.Model(rows, x)


cross_entropy = keras.losses.CategoricalCrossentropy()


def textbook(model, batches):
    for x, y in batches:
        with tf.GradientTape() as tape:
            y_pred = model(x)
            loss = cross_entropy(y, y_pred)
        gradients = tape.gradient(loss, model.trainable_weights)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
        model.metrics[0].update_state(loss, sample_weight=x.shape[0])
        logs = model.compute_metrics(x, y, y_pred)
    return logs


def textbook_with_footnotes(model, batches):
    for x, y in batches:
        with tf.GradientTape(persistent=True) as tape:
            y_pred = model(x, training=True)
            crossed, penalty = cross_entropy(y, y_pred), tf.math.add_n(model.losses)
        gradients = []
        for weight in model.trainable_weights:
            gradient, own = tape.gradient(crossed, weight.value), tape.gradient(penalty, weight.value)
            gradients.append(gradient if own is None else gradient + own)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
        model.metrics[0].update_state(crossed + penalty, sample_weight=x.shape[0])
        logs = model.compute_metrics(x, y, y_pred)
    return logs
