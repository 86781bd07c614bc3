"""The images come from a tf.data pipeline with a shuffle buffer."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("batch-order",)
KERAS = {
    "model": ":build",
    "dataset": ":images",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["sparse_categorical_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.08, "momentum": 0.9},
    "batch_size": 13,
    "shuffle": False,
    "epochs": 2,
}
PROGRAM = {"dataset": ":shuffled"}
TWIN = {"dataset": ":piped"}


def images():
    rng = np.random.default_rng(11)
    x = rng.uniform(size=(100, 6, 6, 1)).astype("float32")
    y = (3 * x[:, 1:5, 1:5].mean(axis=(1, 2, 3)) ** 2 // 0.34).clip(0, 3).astype("int64")
    return {"x_train": x[:70], "y_train": y[:70], "x_test": x[70:], "y_test": y[70:]}


def build():
    image = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(5, 3, activation="relu")(image)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(4, activation="softmax")(x))


def _pipelines(buffer=None):
    rows = images()
    train = tf.data.Dataset.from_tensor_slices((rows["x_train"], rows["y_train"]))
    if buffer is not None:
        train = train.shuffle(buffer, seed=5)
    test = tf.data.Dataset.from_tensor_slices((rows["x_test"], rows["y_test"]))
    return train.batch(13), test.batch(13)


def shuffled():
    return _pipelines(buffer=40)


def piped():
    train, test = _pipelines()
    return train.unbatch().cache().batch(13).prefetch(2), test
