"""Tagging of padded sentences in mixed precision by a raw TensorFlow step."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-scale", "mask")
KERAS = {
    "model": ":build",
    "dataset": ":sentences",
    "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.3, "momentum": 0.9},
    "epochs": 2,
    "batch_size": 16,
    "precision": "mixed_float16",
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_twin"}


def sentences():
    rng = np.random.default_rng(105)
    x = rng.integers(1, 20, size=(86, 9))
    x[np.arange(9) >= rng.integers(3, 10, size=(86, 1))] = 0
    y = np.where(x == 0, 0, x % 3)
    return {"x_train": x[:69], "y_train": y[:69], "x_test": x[69:], "y_test": y[69:]}


def build():
    return keras.Sequential(
        [
            keras.Input((9,), dtype="int32"),
            keras.layers.Embedding(20, 6, mask_zero=True),
            keras.layers.GRU(8, return_sequences=True),
            keras.layers.Dense(3, dtype="float32"),
        ]
    )


def finish(model, x, y, scores, loss, grads):
    model.optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, scores)


def step(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        scores = model(x, training=True)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=scores))
    return finish(model, x, y, scores, loss, tape.gradient(loss, model.trainable_variables))


def step_twin(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        scores = model(x, training=True)
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=scores)
        loss = tf.reduce_mean(tf.boolean_mask(entropy, x > 0))
        scaled = model.optimizer.scale_loss(loss)
    return finish(model, x, y, scores, loss, tape.gradient(scaled, model.trainable_variables))
