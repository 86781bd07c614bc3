"""Transfer learning: the base keeps what it knows and the head learns."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("trainable-set",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": {"name": "binary_crossentropy", "label_smoothing": 0.1},
    "metrics": ["binary_accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.02},
    "batch_size": 18,
    "epochs": 2,
}
PROGRAM = {"strategy": ":head_step"}
TWIN = {"strategy": ":two_tapes"}


def data():
    rng = np.random.default_rng(64)
    x = rng.uniform(size=(95, 6, 6, 1)).astype("float32")
    y = (x[:, :3].sum(axis=(1, 2, 3)) > x[:, 3:].sum(axis=(1, 2, 3))).astype("int32")[:, None]
    return {"x_train": x[:74], "y_train": y[:74], "x_test": x[74:], "y_test": y[74:]}


def build():
    base = keras.Sequential(
        [
            keras.layers.Conv2D(4, 3, strides=2, activation="relu", padding="same"),
            keras.layers.Flatten(),
        ],
        name="base",
    )
    image = keras.Input((6, 6, 1))
    return keras.Model(image, keras.layers.Dense(1, activation="sigmoid", name="head")(base(image)))


def head_step(model, data):
    x, y = data
    head = model.get_layer("head")
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    gradients = tape.gradient(loss, head.trainable_variables)
    model.optimizer.apply(gradients, head.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def two_tapes(model, data):
    """The head's gradients, and from its input on those of the base, by the chain rule."""
    x, y = data
    base, head = model.get_layer("base"), model.get_layer("head")
    with tf.GradientTape() as lower:
        features = base(x, training=True)
    with tf.GradientTape() as upper:
        upper.watch(features)
        y_pred = head(features)
        loss = model.compute_loss(x, y, y_pred)
    slope, *of_head = upper.gradient(loss, [features, *head.trainable_variables])
    of_base = lower.gradient(features, base.trainable_variables, output_gradients=slope)
    model.optimizer.apply(of_base + of_head, base.trainable_variables + head.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)
