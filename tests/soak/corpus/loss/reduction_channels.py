"""Six sensor channels at once; the step is written in plain TensorFlow, with log-cosh by hand."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-reduction",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "log_cosh",
    "metrics": ["mae"],
    "optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":same_step"}


def data():
    rng = np.random.default_rng(11)
    x = rng.normal(size=(107, 9)).astype("float32")
    y = np.tanh(x @ rng.normal(size=(9, 6))).astype("float32") + 0.1
    return {"x_train": x[:77], "y_train": y[:77], "x_test": x[77:], "y_test": y[77:]}


def build(signature):
    return keras.Sequential(
        [
            keras.Input(signature.inputs.shape[1:]),
            keras.layers.Dense(14, activation="tanh"),
            keras.layers.Dense(6),
        ]
    )


def log_cosh(error):
    return error + tf.math.softplus(-2.0 * error) - tf.math.log(2.0)


def _trained(model, data, objective):
    x, y = data
    with tf.GradientTape() as tape:
        out = model(x, training=True)
        loss = objective(y, out)
    weights = model.trainable_variables
    model.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, out, None)


def step(model, data):
    return _trained(model, data, lambda y, out: tf.reduce_mean(tf.reduce_sum(log_cosh(out - y), axis=1)))


def same_step(model, data):
    def objective(y, out):
        channels = [tf.reduce_sum(log_cosh(out[:, i] - y[:, i])) for i in reversed(range(6))]
        return tf.add_n(channels) / tf.cast(6 * tf.shape(y)[0], tf.float32)

    return _trained(model, data, objective)
