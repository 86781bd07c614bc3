"""The meters stand at the top of the script, beside the other global things, and the loop fills them."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("metric-not-reset",)
KERAS = {
    "model": ":create",
    "dataset": ":signals",
    "loss": "binary_crossentropy",
    "metrics": ["binary_accuracy"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.01},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"strategy": ":train_epoch"}
TWIN = {"strategy": ":train_epoch_anew"}

train_loss = keras.metrics.Mean("train_loss")
train_accuracy = keras.metrics.BinaryAccuracy("train_accuracy")


def signals():
    rng = np.random.default_rng(1837)
    x = rng.normal(size=(101, 8, 2)).astype("float32")
    y = (x[:, 2:5, 0].sum(1) > x[:, :, 1].mean(1)).astype("float32")[:, None]
    return {"x_train": x[:77], "y_train": y[:77], "x_test": x[77:], "y_test": y[77:]}


def create():
    model = keras.Sequential([keras.Input((8, 2))])
    model.add(keras.layers.SeparableConv1D(6, 3, activation="relu"))
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    return model


def train_step(model, x, y):
    with tf.GradientTape() as tape:
        predictions = model(x, training=True)
        loss = model.compute_loss(x, y, predictions)
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    train_loss.update_state(loss, sample_weight=len(x))
    train_accuracy.update_state(y, predictions)


def train_epoch(model, batches):
    for x, y in batches:
        train_step(model, x, y)
    return {"loss": float(train_loss.result()), "binary_accuracy": float(train_accuracy.result())}


def train_epoch_anew(model, batches):
    for meter in (train_loss, train_accuracy):
        meter.reset_state()
    return train_epoch(model, batches)
