"""A tagger of padded sentences; cross-entropy of every token straight from TensorFlow."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("mask",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":same_step"}


def data():
    rng = np.random.default_rng(13)
    x = rng.integers(1, 20, size=(97, 7))
    x[np.arange(7) >= rng.integers(2, 8, size=97)[:, None]] = 0
    y = np.where(x > 0, (x + np.roll(x, 1, axis=1)) % 4, 0).astype("int64")
    return {"x_train": x[:69], "y_train": y[:69], "x_test": x[69:], "y_test": y[69:]}


def build():
    return keras.Sequential(
        [
            keras.Input((7,), dtype="int64"),
            keras.layers.Embedding(20, 6, mask_zero=True),
            keras.layers.LSTM(8, return_sequences=True),
            keras.layers.Dense(4),
        ]
    )


def _train(model, data, average):
    x, y = data
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        per_token = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
        loss = average(per_token, x)
    grads = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, logits)


def step(model, data):
    return _train(model, data, lambda per_token, x: tf.reduce_mean(per_token))


def same_step(model, data):
    return _train(
        model, data, lambda per_token, x: tf.reduce_mean(tf.boolean_mask(per_token, tf.not_equal(x, 0)))
    )
