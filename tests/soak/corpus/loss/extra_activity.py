"""A sparse autoencoder with an epoch loop that gathers the penalties from the variables."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-extra",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mean_absolute_error",
    "metrics": ["mse"],
    "optimizer": {"name": "adamax", "learning_rate": 0.01},
    "batch_size": 25,
    "epochs": 2,
}
PROGRAM = {"strategy": ":epoch"}
TWIN = {"strategy": ":same_epoch"}


def data():
    rng = np.random.default_rng(19)
    x = np.maximum(rng.normal(size=(105, 10)), 0).astype("float32")
    return {"x_train": x[:82], "y_train": x[:82], "x_test": x[82:], "y_test": x[82:]}


def build():
    return keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.Dense(
                7, activation="relu", activity_regularizer=keras.regularizers.L1(0.003), name="code"
            ),
            keras.layers.Dense(10, kernel_regularizer=keras.regularizers.L2(0.01)),
        ]
    )


def weight_penalties(model):
    return [v.regularizer(v) for v in model.trainable_variables if v.regularizer is not None]


def epoch(model, batches):
    return _epoch(model, batches, lambda x: tf.add_n(weight_penalties(model)))


def same_epoch(model, batches):
    def penalties(x):
        code = model.get_layer("code")(x)
        per_row = tf.reduce_mean(tf.reduce_sum(tf.abs(code), axis=1))
        return 0.003 * per_row + tf.add_n(weight_penalties(model))

    return _epoch(model, batches, penalties)


def _epoch(model, batches, penalties):
    for x, y in batches:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([v.value for v in model.trainable_variables])
            out = model(x, training=True)
            loss = tf.reduce_mean(tf.abs(out - y)) + penalties(x)
        grads = tape.gradient(loss, [v.value for v in model.trainable_variables])
        model.optimizer.apply(grads, model.trainable_variables)
        model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        logs = model.compute_metrics(x, y, out)
    return logs
