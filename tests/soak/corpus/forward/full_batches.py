"""Only full batches are trained on; what is left over waits for the next epoch."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("batch-size",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "categorical_crossentropy",
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.1, "nesterov": True, "momentum": 0.8},
    "batch_size": 20,
    "epochs": 2,
}
PROGRAM = {"strategy": ":full_only"}
TWIN = {"strategy": ":filled_up"}


def data():
    rng = np.random.default_rng(31)
    x = rng.uniform(-1, 1, size=(107, 4)).astype("float32")
    y = np.eye(3, dtype="float32")[(x[:, :3] + 0.3 * x[:, 3:]).argmax(axis=1)]
    return {"x_train": x[:75], "y_train": y[:75], "x_test": x[75:], "y_test": y[75:]}


def build():
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(9, activation="silu"),
            keras.layers.LayerNormalization(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


@tf.function
def _losses(model, x, y):
    with tf.GradientTape(persistent=True) as tape:
        y_pred = model(x, training=True)
        counts = tf.reduce_sum(y)
        crossed = -tf.reduce_sum(y * tf.math.log(tf.clip_by_value(y_pred, 1e-7, 1 - 1e-7))) / counts
    return y_pred, crossed, tape.gradient(crossed, model.trainable_variables)


def _one(model, x, y, rows):
    y_pred, loss, gradients = _losses(model, x, y)
    model.optimizer.apply_gradients(list(zip(gradients, model.trainable_variables, strict=True)))
    model.metrics[0].update_state(loss, sample_weight=rows)
    model.compute_metrics(x[:rows], y[:rows], y_pred[:rows])


def full_only(model, batches):
    for x, y in batches:
        if x.shape[0] < 20:
            continue
        _one(model, x, y, 20)
    return model.get_metrics_result()


def filled_up(model, batches):
    """The last batch is filled up with rows of zeros, which belong to no class and cost nothing."""
    for x, y in batches:
        missing = [[0, 20 - len(x)], [0, 0]]
        _one(model, tf.pad(x, missing), tf.pad(y, missing), len(x))
    return model.get_metrics_result()
