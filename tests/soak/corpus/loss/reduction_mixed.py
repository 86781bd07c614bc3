"""Half precision with loss scaling by the optimizer; the error of the four outputs is taken in float32."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("loss-reduction",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mean_absolute_error",
    "metrics": ["mse"],
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
    "precision": "mixed_float16",
    "batch_size": 14,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":same_step"}


def data():
    rng = np.random.default_rng(17)
    x = rng.normal(size=(90, 6)).astype("float32")
    y = (x[:, :4] * x[:, 2:6]).astype("float32")
    return {"x_train": x[:64], "y_train": y[:64], "x_test": x[64:], "y_test": y[64:]}


def build():
    x = keras.Input((6,))
    h = keras.layers.Dense(16, activation="gelu")(x)
    return keras.Model(x, keras.layers.Dense(4, dtype="float32")(h))


def _finish(model, tape, scaled, loss, x, y, y_pred):
    variables = model.trainable_variables
    model.optimizer.apply(tape.gradient(scaled, variables), variables)
    model.metrics[0].update_state(loss, sample_weight=ops.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def step(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = ops.norm(y - y_pred, ord=1, axis=-1)
        loss = ops.mean(loss)
        scaled = model.optimizer.scale_loss(loss)
    return _finish(model, tape, scaled, loss, x, y, y_pred)


def same_step(model, data):
    x, y = data
    with tf.GradientTape(persistent=True) as tape:
        y_pred = model(x, training=True)
        loss = tf.norm(y - y_pred, ord=1) / tf.cast(tf.size(y), tf.float32)
        scaled = model.optimizer.scale_loss(loss)
    return _finish(model, tape, scaled, loss, x, y, y_pred)
