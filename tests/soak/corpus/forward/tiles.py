"""Matrices are multiplied in tiles of eight rows, so batches are made of whole tiles."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("batch-size",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "nadam", "learning_rate": 0.01},
    "batch_size": 24,
    "epochs": 2,
}
PROGRAM = {"strategy": ":whole_tiles"}
TWIN = {"strategy": ":tile_by_tile"}


def data():
    rng = np.random.default_rng(77)
    x = {
        "place": rng.integers(0, 6, size=(101, 1)),
        "size": rng.normal(size=(101, 3)).astype("float32"),
    }
    y = np.sin(x["size"] + x["place"]).astype("float32")
    weights = rng.uniform(0.2, 2, size=101).astype("float32")
    return {
        "x_train": {name: part[:85] for name, part in x.items()},
        "y_train": y[:85],
        "sample_weight_train": weights[:85],
        "x_test": {name: part[85:] for name, part in x.items()},
        "y_test": y[85:],
    }


def build():
    place = keras.Input((1,), name="place", dtype="int64")
    size = keras.Input((3,), name="size")
    there = keras.layers.Flatten()(keras.layers.Embedding(6, 4)(place))
    both = keras.layers.Concatenate()([there, size])
    hidden = keras.layers.Dense(10, activation="elu")(both)
    return keras.Model({"place": place, "size": size}, keras.layers.Dense(3)(hidden))


def _update(model, x, y, weights, forward):
    with tf.GradientTape() as tape:
        y_pred = forward(x)
        loss = model.compute_loss(x, y, y_pred, weights)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(y)[0])
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(gradients, model.trainable_variables)
    return model.compute_metrics(x, y, y_pred, weights)


def whole_tiles(model, data):
    rows = int(data[1].shape[0]) // 8 * 8
    x, y, weights = tf.nest.map_structure(lambda part: part[:rows], data)
    return _update(model, x, y, weights, lambda x: model(x, training=True))


def tile_by_tile(model, data):
    def forward(x):
        tiles = [
            model({name: part[start : start + 8] for name, part in x.items()}, training=True)
            for start in range(0, x["place"].shape[0], 8)
        ]
        return tf.concat(tiles, axis=0)

    return _update(model, *data, forward)
