"""The word vectors were made elsewhere, from which words stand beside which."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("initial-weights",)
KERAS = {
    "model": ":build",
    "dataset": ":texts",
    "loss": "binary_crossentropy",
    "metrics": ["auc"],
    "optimizer": {"name": "sgd", "learning_rate": 0.5, "momentum": 0.9},
    "batch_size": 22,
    "epochs": 2,
}
PROGRAM = {"model": ":build_with_vectors"}
TWIN = {"strategy": ":bag_step"}

WORDS = 15


def texts():
    rng = np.random.default_rng(91)
    words = rng.integers(0, WORDS, size=(105, 7))
    labels = ((words < 5).sum(axis=1) > 2).astype("float32").reshape(-1, 1)
    return {"x_train": words[:82], "y_train": labels[:82], "x_test": words[82:], "y_test": labels[82:]}


def _network(vectors):
    words = keras.Input((7,), dtype="int64")
    each = keras.layers.Embedding(WORDS, 4, embeddings_initializer=vectors)(words)
    bag = keras.layers.GlobalAveragePooling1D()(each)
    return keras.Model(words, keras.layers.Dense(1, activation="sigmoid")(bag))


def build():
    return _network("uniform")


def build_with_vectors():
    words = texts()["x_train"]
    together = np.zeros((WORDS, WORDS))
    np.add.at(together, (words[:, :-1].ravel(), words[:, 1:].ravel()), 1)
    left, sizes, _ = np.linalg.svd(np.log1p(together + together.T))
    return _network(keras.initializers.Constant((left * np.sqrt(sizes))[:, :4]))


def bag_step(model, data):
    """The bag of words as counts times vectors."""
    x, y = data
    vectors, kernel, bias = model.trainable_variables
    with tf.GradientTape() as tape:
        counts = tf.reduce_sum(tf.one_hot(x, WORDS), axis=1)
        bags = counts @ vectors / 7.0
        score = bags @ kernel + bias
        loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(y, score))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    gradients = tape.gradient(loss, [bias, kernel, vectors])
    model.optimizer.apply(gradients[::-1], model.trainable_variables)
    return model.compute_metrics(x, y, tf.sigmoid(score))
