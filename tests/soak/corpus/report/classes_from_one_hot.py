"""One-hot labels are turned back into class numbers as a batch arrives; loss and metric share them."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("metric-label-format",)
KERAS = {
    "model": ":build",
    "dataset": ":signals",
    "loss": "categorical_crossentropy",
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "nadam", "learning_rate": 0.01},
    "epochs": 2,
    "batch_size": 18,
}
PROGRAM = {"strategy": {"name": "custom-step", "step": ":step", "test_step": ":evaluation"}}
TWIN = {"strategy": {"name": "custom-step", "step": ":step_of_rows", "test_step": ":evaluation_of_rows"}}

entropy = keras.losses.SparseCategoricalCrossentropy()


def signals():
    rng = np.random.default_rng(41)
    kind = rng.integers(0, 5, size=125)
    time = np.arange(20)
    x = np.sin(time * (0.3 + 0.25 * kind[:, None])) + 0.5 * rng.normal(size=(125, 20))
    x, y = x[..., None].astype("float32"), np.eye(5, dtype="float32")[kind]
    return {"x_train": x[:83], "y_train": y[:83], "x_test": x[83:], "y_test": y[83:]}


def build():
    return keras.Sequential(
        [
            keras.Input((20, 1)),
            keras.layers.Conv1D(8, 5, strides=2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(5, activation="softmax"),
        ]
    )


def step(model, data, encode=lambda ids: ids):
    x, y = data
    ids = tf.argmax(y, axis=-1)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([v.value for v in model.trainable_variables])
        y_pred = model(x, training=True)
        loss = entropy(ids, y_pred)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    model.optimizer.apply(gradients, model.trainable_variables)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, encode(ids), y_pred)


def evaluation(model, data, encode=lambda ids: ids):
    x, y = data
    ids = tf.argmax(y, axis=-1)
    y_pred = model(x, training=False)
    kerasx.track_loss(model, entropy(ids, y_pred), x)
    return model.compute_metrics(x, encode(ids), y_pred)


def rows(ids):
    return tf.cast(ids[:, None] == tf.range(5, dtype=ids.dtype), tf.float32)


def step_of_rows(model, data):
    return step(model, data, rows)


def evaluation_of_rows(model, data):
    return evaluation(model, data, rows)
