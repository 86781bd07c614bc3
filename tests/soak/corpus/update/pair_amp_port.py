"""torch.autocast became mixed_float16; running_loss / len(loader) stayed; GradScaler had no counterpart, or had it?"""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-scale", "loss-report-unweighted")
KERAS = {
    "model": ":Net",
    "dataset": ":get_loader",
    "loss": "mse",
    "metrics": [],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.004},
    "batch_size": 28,
    "epochs": 2,
    "precision": "mixed_float16",
}
PROGRAM = {"strategy": ":train_one_epoch"}
TWIN = {"strategy": ":train_one_epoch_scaled"}


def get_loader():
    g = np.random.default_rng(1)
    x = g.standard_normal((118, 3, 8)).astype("float32")
    y = np.stack([x[:, 0].max(1), x[:, 1].min(1)], axis=1)
    return {"x_train": x[:90], "y_train": y[:90], "x_test": x[90:], "y_test": y[90:]}


def Net():
    x = keras.Input((3, 8))
    h = keras.layers.Permute((2, 1))(x)
    h = keras.layers.Conv1D(8, 2, activation="relu")(h)
    h = keras.layers.GlobalMaxPooling1D()(h)
    return keras.Model(x, keras.layers.Dense(2, dtype="float32")(h))


def backward(model, inputs, labels, scale):
    optimizer = model.optimizer
    with tf.GradientTape() as tape:
        outputs = model(inputs, training=True)
        loss = model.compute_loss(inputs, labels, outputs)
        objective = scale(optimizer, loss)
    optimizer.apply_gradients(
        zip(tape.gradient(objective, model.trainable_variables), model.trainable_variables)
    )
    return loss


def train_one_epoch(model, batches):
    running_loss, n = 0.0, 0
    for inputs, labels in batches:
        running_loss += float(backward(model, inputs, labels, lambda optimizer, loss: loss))
        n += 1
    return {"loss": running_loss / n}


def train_one_epoch_scaled(model, batches):
    running_loss, n = 0.0, 0
    for inputs, labels in batches:
        loss = backward(model, inputs, labels, lambda optimizer, loss: optimizer.scale_loss(loss))
        running_loss += float(loss) * len(inputs)
        n += len(inputs)
    return {"loss": running_loss / n}
