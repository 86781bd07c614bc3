"""A word model on two devices, whose step takes Keras's loss function and averages it over its rows."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("replica-scale",)
KERAS = {
    "model": ":build",
    "dataset": ":notices",
    "loss": "binary_crossentropy",
    "metrics": ["binary_accuracy"],
    "optimizer": {"name": "adagrad", "learning_rate": 0.1, "initial_accumulator_value": 0.01},
    "epochs": 2,
    "batch_size": 18,
    "devices": 2,
    "execution": "graph",
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_twin"}


def notices():
    rng = np.random.default_rng(93)
    x = rng.integers(0, 16, size=(88, 4))
    y = ((x > 11).sum(1) > 0).astype("float32")[:, None]
    return {"x_train": x[:70], "y_train": y[:70], "x_test": x[70:], "y_test": y[70:]}


def build():
    words = keras.Input((4,), dtype="int32")
    vectors = keras.layers.Flatten()(keras.layers.Embedding(16, 4)(words))
    normal = keras.layers.LayerNormalization()(vectors)
    return keras.Model(words, keras.layers.Dense(1, activation="sigmoid")(normal))


def update(model, tape, loss):
    grads = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(grads, model.trainable_variables)


def step(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = tf.reduce_mean(keras.losses.binary_crossentropy(y, y_pred))
    update(model, tape, loss)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def step_twin(model, data):
    x, y = data
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    criterion = keras.losses.BinaryCrossentropy(reduction="sum")
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        rows = tf.cast(tf.shape(x)[0], y_pred.dtype)
        loss = criterion(y, y_pred) / (rows * replicas)
    update(model, tape, loss)
    model.metrics[0].update_state(loss * replicas, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)
