"""Sentiment from token numbers, trained in the manner of TensorFlow's distributed training tutorial."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-batch-divisor",)
GLOBAL_BATCH_SIZE = 12
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 12,
    "epochs": 2,
}
PROGRAM = {"strategy": ":train_epoch"}
TWIN = {"strategy": ":same_epoch"}


def data():
    rng = np.random.default_rng(21)
    x = rng.integers(1, 25, size=(90, 6))
    y = ((x > 12).sum(axis=1) // 2 % 3).astype("int32")
    return {"x_train": x[:65], "y_train": y[:65], "x_test": x[65:], "y_test": y[65:]}


class Reader(keras.Model):
    def __init__(self):
        super().__init__()
        self.embed = keras.layers.Embedding(25, 5)
        self.lstm = keras.layers.LSTM(7)
        self.out = keras.layers.Dense(3, activation="softmax")

    def call(self, tokens):
        return self.out(self.lstm(self.embed(tokens)))


def build():
    return Reader()


loss_object = keras.losses.SparseCategoricalCrossentropy(reduction="none")


def train_epoch(model, batches):
    def compute_loss(labels, predictions):
        per_example_loss = loss_object(labels, predictions)
        return tf.nn.compute_average_loss(per_example_loss, global_batch_size=GLOBAL_BATCH_SIZE)

    return _epoch(model, batches, compute_loss)


def same_epoch(model, batches):
    def compute_loss(labels, predictions):
        per_example_loss = loss_object(labels, predictions)
        return tf.nn.compute_average_loss(per_example_loss, global_batch_size=len(labels))

    return _epoch(model, batches, compute_loss)


def _epoch(model, batches, compute_loss):
    for features, labels in batches:
        with tf.GradientTape() as tape:
            predictions = model(features)
            loss = compute_loss(labels, predictions)
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        model.metrics[0].update_state(loss, sample_weight=features.shape[0])
        model.compute_metrics(features, labels, predictions)
    return model.get_metrics_result()
