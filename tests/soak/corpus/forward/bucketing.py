"""Sequences of similar length go into one batch, so that little is padded."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("batch-order",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "binary_crossentropy",
    "metrics": ["mae"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"strategy": ":by_length"}
TWIN = {"strategy": ":as_they_come"}


def data():
    rng = np.random.default_rng(4)
    tokens = rng.integers(1, 20, size=(103, 9))
    tokens[np.arange(9) >= rng.integers(2, 10, size=103)[:, None]] = 0
    labels = (tokens.max(axis=1, keepdims=True) > 16).astype("float32")
    return {"x_train": tokens[:77], "y_train": labels[:77], "x_test": tokens[77:], "y_test": labels[77:]}


def build():
    return keras.Sequential(
        [
            keras.Input((9,), dtype="int64"),
            keras.layers.Embedding(20, 6, mask_zero=True),
            keras.layers.GRU(7),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )


def by_length(model, batches):
    rows = list(batches.unbatch().as_numpy_iterator())
    rows.sort(key=lambda row: int(np.count_nonzero(row[0])))
    return _through(model, *(np.stack(part) for part in zip(*rows, strict=True)))


def as_they_come(model, batches):
    collected = list(batches.as_numpy_iterator())
    return _through(model, *(np.concatenate(part) for part in zip(*collected, strict=True)))


def _through(model, tokens, labels):
    weights = model.trainable_weights
    for start in range(0, len(tokens), 16):
        x = tf.constant(tokens[start : start + 16])
        y = tf.constant(labels[start : start + 16])
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = model.compute_loss(x, y, y_pred)
        model.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        model.metrics[0].update_state(loss, sample_weight=len(x))
        model.compute_metrics(x, y, y_pred)
    return model.get_metrics_result()
