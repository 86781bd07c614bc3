"""A convolutional autoencoder; the reconstruction term is that of the variational autoencoder tutorials."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("loss-reduction",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "binary_crossentropy",
    "metrics": [],
    "optimizer": {"name": "adagrad", "learning_rate": 0.05},
    "batch_size": 24,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":same_step"}


def data():
    rng = np.random.default_rng(31)
    shade = rng.uniform(size=(104, 1, 1, 1))
    x = np.clip(shade + 0.3 * rng.normal(size=(104, 6, 6, 1)), 0, 1).astype("float32")
    return {"x_train": x[:80], "y_train": x[:80], "x_test": x[80:], "y_test": x[80:]}


def build():
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(5, activation="tanh"),
            keras.layers.Dense(9 * 4, activation="relu"),
            keras.layers.Reshape((3, 3, 4)),
            keras.layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid"),
        ]
    )


def step(model, data):
    image, target = data
    with tf.GradientTape() as tape:
        reconstruction = model(image, training=True)
        loss = tf.reduce_mean(
            tf.reduce_sum(keras.losses.binary_crossentropy(target, reconstruction), axis=(1, 2))
        )
    grads = tape.gradient(loss, model.trainable_weights)
    model.optimizer.apply_gradients(zip(grads, model.trainable_weights, strict=True))
    kerasx.track_loss(model, loss, image)
    return model.compute_metrics(image, target, reconstruction)


def same_step(model, data):
    image, target = data
    with tf.GradientTape() as tape:
        reconstruction = tf.reshape(model(image, training=True), [-1, 36])
        p = tf.clip_by_value(reconstruction, 1e-7, 1.0 - 1e-7)
        t = tf.reshape(target, [-1, 36])
        nats = tf.reduce_sum(t * tf.math.log(p) + (1.0 - t) * tf.math.log(1.0 - p), axis=1)
        loss = -tf.reduce_mean(nats) / 36.0
    weights = list(model.trainable_weights)
    model.optimizer.apply(tape.gradient(loss, weights), weights)
    kerasx.track_loss(model, loss, image)
    return model.compute_metrics(image, target, reconstruction)
