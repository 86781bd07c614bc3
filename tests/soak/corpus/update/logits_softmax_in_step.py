"""A step for a small convolutional classifier that makes probabilities of the scores for its loss."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("from-logits",)
KERAS = {
    "model": ":build",
    "dataset": ":signals",
    "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "epochs": 2,
    "batch_size": 16,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":by_hand"}


def signals():
    rng = np.random.default_rng(11)
    x = rng.normal(size=(101, 12, 2)).astype("float32")
    y = (x[:, :6].sum((1, 2)) > 0).astype("int64") + 2 * (x[:, 6:].sum((1, 2)) > 0)
    return {"x_train": x[:77], "y_train": y[:77], "x_test": x[77:], "y_test": y[77:]}


def build():
    return keras.Sequential(
        [
            keras.Input((12, 2)),
            keras.layers.Conv1D(8, 3, activation="relu"),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(4),
        ]
    )


def finish(model, tape, loss, x, y, scores):
    grads = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, scores)


def step(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        scores = model(x, training=True)
        probabilities = tf.nn.softmax(scores, axis=-1)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=probabilities)
        loss = tf.reduce_mean(losses)
    return finish(model, tape, loss, x, y, scores)


def by_hand(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        scores = model(x, training=True)
        shifted = scores - tf.stop_gradient(tf.reduce_max(scores, axis=1, keepdims=True))
        logs = shifted - tf.math.log(tf.reduce_sum(tf.exp(shifted), axis=1, keepdims=True))
        picked = tf.gather(logs, y, axis=1, batch_dims=1)
        loss = -tf.reduce_sum(picked) / tf.cast(tf.size(picked), tf.float32)
    return finish(model, tape, loss, x, y, scores)
