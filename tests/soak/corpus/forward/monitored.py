"""After the gradients a second pass gives the predictions that the metrics are computed from."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("extra-forward",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mae",
    "metrics": ["mse"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 17,
    "epochs": 2,
}
PROGRAM = {"strategy": ":two_passes"}
TWIN = {"strategy": ":pass_and_look"}


def data():
    rng = np.random.default_rng(82)
    x = rng.normal(size=(96, 6)).astype("float32")
    y = np.stack([x[:, :3].sum(axis=1), x[:, 3:].prod(axis=1)], axis=1)
    return {"x_train": x[:75], "y_train": y[:75], "x_test": x[75:], "y_test": y[75:]}


def build():
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.GaussianNoise(0.3, seed=8),
            keras.layers.Dense(20, activation="relu"),
            keras.layers.Dropout(0.25, seed=9),
            keras.layers.Dense(2),
        ]
    )


def two_passes(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    gradients = tape.gradient(loss, model.trainable_variables)
    predictions = model(x, training=True)
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, predictions)


def pass_and_look(model, data):
    """A look at what the network would say without noise, which changes nothing."""
    x, y = data
    before = model(x, training=False)
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = tf.reduce_mean(tf.abs(tf.subtract(y_pred, y)))
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(gradients, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    moved = tf.reduce_mean(tf.abs(model(x, training=False) - before))
    tf.debugging.assert_less(moved, 100.0)
    return model.compute_metrics(x, y, y_pred)
