"""A mixed-precision image classifier; cross entropy straight from what the network hands out."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("loss-dtype",)
KERAS = {
    "model": ":build",
    "dataset": ":images",
    "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    "epochs": 2,
    "batch_size": 19,
    "precision": "mixed_float16",
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_twin"}


def images():
    rng = np.random.default_rng(77)
    x = rng.normal(size=(100, 8, 8, 1)).astype("float32")
    y = rng.integers(0, 10, size=100)
    x[np.arange(100), y % 8, y // 8] += 3
    return {"x_train": x[:82], "y_train": y[:82], "x_test": x[82:], "y_test": y[82:]}


def build():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(6, 3, strides=2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )


def stepping(entropy):
    def one_step(model, data):
        x, y = data
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            loss = entropy(y, logits)
            scaled = model.optimizer.scale_loss(tf.cast(loss, "float32"))
        variables = model.trainable_variables
        model.optimizer.apply(tape.gradient(scaled, variables), variables)
        kerasx.track_loss(model, tf.cast(loss, "float32"), x)
        return model.compute_metrics(x, y, logits)

    return one_step


def mean_entropy(y, logits):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))


def cast_entropy(y, logits):
    logs = keras.ops.log_softmax(keras.ops.cast(logits, "float32"))
    hot = keras.ops.one_hot(y, 10, dtype="float32")
    return keras.ops.mean(keras.ops.sum(-hot * logs, axis=-1))


def step(model, data):
    return stepping(mean_entropy)(model, data)


def step_twin(model, data):
    return stepping(cast_entropy)(model, data)
