"""Images are moved at random, by layers whose seed comes from the command line."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("rng-stream",)
KERAS = {
    "model": {"name": ":build", "seed": 1},
    "dataset": ":data",
    "loss": "categorical_crossentropy",
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 20,
    "epochs": 2,
}
PROGRAM = {"model": {"name": ":build", "seed": 2}}
TWIN = {"strategy": ":moved_beforehand"}


def data():
    rng = np.random.default_rng(23)
    y = rng.integers(0, 3, size=101)
    x = rng.uniform(0, 0.4, size=(101, 6, 6, 1))
    x[np.arange(101), y * 2, 1:5] += 0.7
    y = keras.utils.to_categorical(y, 3)
    return {"x_train": x[:78].astype("float32"), "y_train": y[:78], "x_test": x[78:], "y_test": y[78:]}


def build(seed):
    moves = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.RandomFlip("horizontal", seed=seed),
            keras.layers.GaussianNoise(0.1, seed=seed + 10),
        ],
        name="moves",
    )
    network = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(5, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ],
        name="network",
    )
    image = keras.Input((6, 6, 1))
    return keras.Model(image, network(moves(image)))


def moved_beforehand(model, data):
    """The images are moved outside of the tape."""
    x, y = data
    moved = tf.stop_gradient(model.get_layer("moves")(x, training=True))
    network = model.get_layer("network")
    with tf.GradientTape() as tape:
        y_pred = network(moved, training=True)
        loss = model.compute_loss(x, y, y_pred)
    gradients = tape.gradient(loss, network.trainable_variables)
    model.optimizer.apply(gradients, network.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)
