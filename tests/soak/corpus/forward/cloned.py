"""Each experiment trains a clone of one prototype, with the prototype's weights."""

import keras
import numpy as np

CAUSES = ("rng-stream",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["sparse_categorical_accuracy"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.01},
    "batch_size": 13,
    "epochs": 2,
}
PROGRAM = {"model": ":build_clone"}
TWIN = {"model": ":build_full_clone"}


def data():
    rng = np.random.default_rng(14)
    words = rng.integers(0, 14, size=(95, 6))
    y = (words[:, 0] + words[:, -1]) % 4
    return {"x_train": words[:71], "y_train": y[:71], "x_test": words[71:], "y_test": y[71:]}


def build():
    words = keras.Input((6,), dtype="int64", name="words")
    x = keras.layers.Embedding(14, 8)(words)
    x = keras.layers.SpatialDropout1D(0.25)(x)
    x = keras.layers.Conv1D(8, 2, activation="relu")(x)
    x = keras.layers.GlobalMaxPooling1D()(x)
    x = keras.layers.Dropout(0.25)(x)
    return keras.Model(words, keras.layers.Dense(4, activation="softmax")(x))


def build_clone():
    prototype = build()
    clone = keras.models.clone_model(prototype)
    clone.set_weights(prototype.get_weights())
    return clone


def build_full_clone():
    prototype = build()
    clone = keras.models.clone_model(prototype)
    for ours, theirs in zip(clone.variables, prototype.variables, strict=True):
        ours.assign(theirs)
    return clone
