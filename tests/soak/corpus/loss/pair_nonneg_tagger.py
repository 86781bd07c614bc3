"""Padded reading times with weights that may not be negative; the update is done by hand, word errors averaged."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("mask", "optimizer-bypassed")
KERAS = {
    "model": ":reader",
    "dataset": ":sentences",
    "loss": "mse",
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.15},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"strategy": ":sweep"}
TWIN = {"strategy": ":careful_sweep"}


def sentences():
    rng = np.random.default_rng(26)
    length = rng.integers(2, 9, size=90)
    words = rng.integers(1, 20, size=(90, 8)) * (np.arange(8) < length[:, None])
    duration = np.where(words > 0, 0.4 + 0.1 * (words % 7), 0.0).astype("float32")[..., None]
    return {"x_train": words[:70], "y_train": duration[:70], "x_test": words[70:], "y_test": duration[70:]}


def reader():
    words = keras.Input((8,), dtype="int32")
    h = keras.layers.Embedding(20, 6, mask_zero=True)(words)
    h = keras.layers.Dense(8, activation="sigmoid", kernel_constraint="non_neg")(h)
    return keras.Model(words, keras.layers.Dense(1, kernel_constraint="non_neg")(h))


def gradients(model, x, y, error):
    with tf.GradientTape() as tape:
        guess = model(x, training=True)
        loss = error(x, y, guess)
    kerasx.track_loss(model, loss, x)
    return tape.gradient(loss, model.trainable_variables)


def over_all(x, y, guess):
    return tf.reduce_mean((guess - y) ** 2)


def over_words(x, y, guess):
    word = tf.cast(x > 0, tf.float32)[..., None]
    return tf.math.divide(tf.reduce_sum(word * (guess - y) ** 2), tf.reduce_sum(word))


def sweep(model, batches):
    eta = 0.15
    for x, y in batches:
        for w, dw in zip(model.trainable_variables, gradients(model, x, y, over_all)):
            w.assign_sub(eta * tf.convert_to_tensor(dw))
    return model.get_metrics_result()


def careful_sweep(model, batches):
    for x, y in batches:
        slopes = [tf.convert_to_tensor(dw) for dw in gradients(model, x, y, over_words)]
        model.optimizer.apply_gradients(zip(slopes, model.trainable_variables))
    return model.get_metrics_result()
