"""The usual GradientTape step, on a convolutional network in mixed precision."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-scale",)
KERAS = {
    "model": ":build",
    "dataset": ":images",
    "loss": "categorical_crossentropy",
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9},
    "epochs": 2,
    "batch_size": 16,
    "precision": "mixed_float16",
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_scaled_by_hand"}


def images():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(98, 7, 7, 2)).astype("float32")
    y = np.eye(3, dtype="float32")[
        np.argmax([x[..., 0].mean((1, 2)), x[..., 1].mean((1, 2)), x[:, 3, 3, 0]], 0)
    ]
    return {"x_train": x[:73], "y_train": y[:73], "x_test": x[73:], "y_test": y[73:]}


def build():
    return keras.Sequential(
        [
            keras.Input((7, 7, 2)),
            keras.layers.Conv2D(5, 3, activation="relu", kernel_regularizer="l2"),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
            keras.layers.Activation("softmax", dtype="float32"),
        ]
    )


def step(model, data):
    x, y, w = keras.utils.unpack_x_y_sample_weight(data)
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=w)
    grads = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred, w)


def step_scaled_by_hand(model, data):
    x, y, w = keras.utils.unpack_x_y_sample_weight(data)
    optimizer = model.optimizer
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    with tf.GradientTape(persistent=True) as tape:
        y_pred = model(x, training=True)
        entropy = -tf.reduce_sum(y * tf.math.log(tf.clip_by_value(y_pred, 1e-7, 1 - 1e-7)), axis=1)
        loss = tf.reduce_mean(entropy) + tf.add_n(model.losses)
        scaled = tf.multiply(loss, optimizer.dynamic_scale.value)
    grads = [tape.gradient(scaled, v.value) for v in model.trainable_variables]
    del tape
    optimizer.apply(grads, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred, w)
