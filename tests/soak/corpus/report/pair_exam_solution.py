"""Exam 2, task 3: complete the loop. One-hot labels, dropout, and the accuracy of each epoch."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("training-flag", "metric-label-format")
KERAS = {
    "model": ":given_model",
    "dataset": ":given_data",
    "loss": "categorical_crossentropy",
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "adagrad", "learning_rate": 0.2},
    "batch_size": 23,
    "epochs": 2,
}
PROGRAM = {"strategy": ":your_code_here"}
TWIN = {"strategy": ":sample_solution"}


def given_data():
    rng = np.random.default_rng(20)
    y = rng.integers(0, 5, 120)
    x = (rng.normal(size=(5, 9))[y] + 0.5 * rng.normal(size=(120, 9))).astype("float32")
    y = keras.utils.to_categorical(y, num_classes=5)
    return (x[:95], y[:95]), (x[95:], y[95:])


def given_model():
    return keras.Sequential(
        [
            keras.Input((9,)),
            keras.layers.Dense(20, activation="relu"),
            keras.layers.Dropout(0.5, seed=99),
            keras.layers.Dense(5, activation="softmax"),
        ]
    )


def your_code_here(model, batches):
    acc = keras.metrics.CategoricalAccuracy()
    for images, labels in batches:
        with tf.GradientTape() as tape:
            predictions = model(images)
            loss = model.compute_loss(images, labels, predictions)
        model.optimizer.apply_gradients(
            zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        )
        kerasx.track_loss(model, loss, images)
        acc.update_state(tf.argmax(labels, axis=1), tf.argmax(predictions, axis=1))
    return {"loss": float(model.metrics[0].result()), "categorical_accuracy": float(acc.result())}


def sample_solution(model, batches):
    acc = keras.metrics.Accuracy()
    for images, labels in batches:
        with tf.GradientTape() as tape:
            predictions = model(images, training=True)
            loss = -tf.reduce_mean(tf.math.log(tf.boolean_mask(predictions, labels > 0)))
        model.optimizer.apply_gradients(
            zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        )
        kerasx.track_loss(model, loss, images)
        acc.update_state(tf.argmax(labels, axis=1), tf.argmax(predictions, axis=1))
    return {"loss": float(model.metrics[0].result()), "categorical_accuracy": float(acc.result())}
