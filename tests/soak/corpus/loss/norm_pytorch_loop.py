"""Class-weighted cross-entropy as PyTorch's CrossEntropyLoss(weight=...) computes it, in an epoch loop."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("weight-normalization",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "class_weight": {0: 0.3, 1: 1.0, 2: 2.0, 3: 5.0},
    "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9},
    "batch_size": 24,
    "epochs": 2,
}
PROGRAM = {"strategy": ":train"}
TWIN = {"strategy": ":same_train"}
WEIGHT = (0.3, 1.0, 2.0, 5.0)


def data():
    rng = np.random.default_rng(18)
    x = rng.integers(0, 30, size=(105, 5))
    y = np.minimum(rng.poisson((x % 4).mean(axis=1) * 0.6), 3).astype("int64")
    return {"x_train": x[:76], "y_train": y[:76], "x_test": x[76:], "y_test": y[76:]}


class Bag(keras.Model):
    def __init__(self):
        super().__init__()
        self.table = keras.layers.Embedding(30, 6)
        self.drop = keras.layers.Dropout(0.2)
        self.head = keras.layers.Dense(4)

    def call(self, words, training=None):
        return self.head(self.drop(keras.ops.mean(self.table(words), axis=1), training=training))


def build():
    return Bag()


def cross_entropy(logits, target, average):
    log_p = tf.nn.log_softmax(logits)
    picked = -tf.gather(log_p, target, batch_dims=1)
    weight = tf.gather(tf.constant(WEIGHT), target)
    if average:
        return tf.reduce_sum(weight * picked) / tf.reduce_sum(weight)
    return tf.reduce_mean(weight * picked)


def train(model, batches):
    return _loop(model, batches, average=True)


def same_train(model, batches):
    return _loop(model, batches, average=False)


def _loop(model, batches, average):
    for input_, target, *weights in batches:
        with tf.GradientTape() as tape:
            output = model(input_, training=True)
            loss = cross_entropy(output, target, average)
        grads = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply(grads, model.trainable_variables)
        kerasx.track_loss(model, loss, input_)
        logs = model.compute_metrics(input_, target, output, *weights)
    return logs
