"""Short texts in two classes, by a recurrent network with meters of its own for loss and accuracy."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("metric-not-reset",)
KERAS = {
    "model": ":build",
    "dataset": ":texts",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.02},
    "epochs": 2,
    "batch_size": 13,
}
PROGRAM = {"model": ":build_reader", "metrics": []}
TWIN = {"model": ":build_careful_reader", "metrics": []}


def texts():
    rng = np.random.default_rng(2)
    x = rng.integers(1, 15, size=(101, 7)).astype("int32")
    x[np.arange(7) >= rng.integers(3, 8, size=101)[:, None]] = 0
    y = ((x > 9).sum(axis=1) > (x != 0).sum(axis=1) / 3).astype("int32")
    return {"x_train": x[:69], "y_train": y[:69], "x_test": x[69:], "y_test": y[69:]}


def layers():
    tokens = keras.Input((7,), dtype="int32")
    hidden = keras.layers.Embedding(15, 6, mask_zero=True)(tokens)
    hidden = keras.layers.GRU(8)(hidden)
    return tokens, keras.layers.Dense(2, activation="softmax")(hidden)


def build():
    return keras.Model(*layers())


class Reader(keras.Model):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.mean_loss = keras.metrics.Mean(name="loss")
        self.right = keras.metrics.SparseCategoricalAccuracy(name="accuracy")

    @property
    def metrics(self):
        return [self.mean_loss]

    def train_step(self, data):
        tokens, labels = data
        with tf.GradientTape() as tape:
            scores = self(tokens, training=True)
            loss = self.compute_loss(tokens, labels, scores)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return self.measured(tokens, labels, scores, loss)

    def test_step(self, data):
        tokens, labels = data
        scores = self(tokens, training=False)
        return self.measured(
            tokens, labels, scores, self.compute_loss(tokens, labels, scores, training=False)
        )

    def measured(self, tokens, labels, scores, loss):
        self.mean_loss.update_state(loss, sample_weight=tf.shape(tokens)[0])
        self.right.update_state(labels, scores)
        return {"loss": self.mean_loss.result(), "accuracy": self.right.result()}


class CarefulReader(Reader):
    @property
    def metrics(self):
        return [self.right, self.mean_loss]


def build_reader():
    return Reader(*layers())


def build_careful_reader():
    return CarefulReader(*layers())
