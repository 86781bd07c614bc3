"""The mean of the hidden features is watched while training, for dead units."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("extra-forward",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["sparse_categorical_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
    "batch_size": 20,
    "epochs": 2,
}
PROGRAM = {"strategy": ":watching"}
TWIN = {"strategy": ":watching_on_the_way"}

dead = []


def data():
    rng = np.random.default_rng(17)
    x = rng.normal(1, 3, size=(98, 4, 4, 1)).astype("float32")
    y = (x.max(axis=(1, 2, 3)) > 7).astype("int64") + (x.min(axis=(1, 2, 3)) < -5)
    return {"x_train": x[:73], "y_train": y[:73], "x_test": x[73:], "y_test": y[73:]}


def build():
    image = keras.Input((4, 4, 1))
    x = keras.layers.Conv2D(7, 2)(image)
    x = keras.layers.BatchNormalization(momentum=0.85)(x)
    x = keras.layers.Activation("relu")(x)
    x = keras.layers.Flatten(name="features")(x)
    return keras.Model(image, keras.layers.Dense(3, activation="softmax", name="scores")(x))


def _note(features):
    dead.append(int(tf.math.count_nonzero(tf.reduce_max(features, axis=0) <= 0)))


def watching(model, data):
    x, y = data
    features = keras.Model(model.inputs, model.get_layer("features").output)
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    _note(features(x, training=True))
    model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


def watching_on_the_way(model, data):
    x, y = data
    hidden = keras.Model(model.inputs, model.get_layer("features").output)
    with tf.GradientTape() as tape:
        features = hidden(x, training=True)
        y_pred = model.get_layer("scores")(features)
        loss = tf.reduce_mean(tf.losses.sparse_categorical_crossentropy(y, y_pred))
    _note(features)
    weights = model.trainable_variables
    model.optimizer.apply([0.5 * (g + g) for g in tape.gradient(loss, weights)], weights)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)
