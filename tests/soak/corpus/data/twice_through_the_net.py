"""Notebook cell 12: the training step. Metrics first, then the gradient (cell 11 pasted below)."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("extra-forward",)
KERAS = {
    "model": ":get_model",
    "dataset": ":reviews",
    "loss": "binary_crossentropy",
    "metrics": ["binary_accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.02},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"strategy": ":train_on_batch"}
TWIN = {"strategy": ":train_on_batch_tidy"}

VOCABULARY, LENGTH = 40, 9


def reviews():
    rng = np.random.default_rng(90)
    tokens = rng.integers(0, VOCABULARY, size=(88, LENGTH))
    mood = rng.normal(size=VOCABULARY)
    label = (mood[tokens].sum(1) > 0).astype("float32")[:, None]
    return {"x_train": tokens[:69], "y_train": label[:69], "x_test": tokens[69:], "y_test": label[69:]}


def get_model():
    return keras.Sequential(
        [
            keras.Input((LENGTH,), dtype="int32"),
            keras.layers.Embedding(VOCABULARY, 6),
            keras.layers.GlobalMaxPooling1D(),
            keras.layers.Dropout(0.35, seed=4),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )


def train_on_batch(model, data):
    x, y = data
    # cell 10: what does the model say?
    y_pred = model(x, training=True)
    # cell 11: gradients
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x, training=True))
    grads = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(grads, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=x.shape[0])
    return model.compute_metrics(x, y, y_pred)


def train_on_batch_tidy(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        wrong = tf.abs(y - y_pred)
        loss = -tf.reduce_sum(tf.math.log1p(-tf.minimum(wrong, 1 - 1e-7))) / x.shape[0]
    shown = model(x, training=False)
    assert shown.shape == y.shape
    grads = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(grads, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=x.shape[0])
    return model.compute_metrics(x, y, y_pred)
