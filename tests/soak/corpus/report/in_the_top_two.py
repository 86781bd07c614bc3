"""Products by kind: is the right one among the two best? Kinds go to the metric as numbers in a column."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("metric-label-format",)
KERAS = {
    "model": ":build",
    "dataset": ":products",
    "loss": "categorical_crossentropy",
    "metrics": [{"name": "top_k_categorical_accuracy", "k": 2}],
    "optimizer": {"name": "adagrad", "learning_rate": 0.05},
    "epochs": 2,
    "batch_size": 14,
}
PROGRAM = {"model": ":build_by_number"}
TWIN = {"model": ":build_by_row"}


def products():
    rng = np.random.default_rng(17)
    kind = rng.integers(0, 6, size=118)
    words = rng.poisson(0.4 + 1.6 * (np.arange(12) // 2 == kind[:, None])).astype("float32")
    price = rng.gamma(2 + kind, size=118).astype("float32")[:, None]
    rows = np.eye(6, dtype="float32")[kind]
    return {
        "x_train": {"words": words[:79], "price": price[:79]},
        "y_train": rows[:79],
        "x_test": {"words": words[79:], "price": price[79:]},
        "y_test": rows[79:],
    }


def layers():
    inputs = {"words": keras.Input((12,), name="words"), "price": keras.Input((1,), name="price")}
    words = keras.layers.Dense(8, activation="elu")(inputs["words"])
    price = keras.layers.Rescaling(0.2)(inputs["price"])
    both = keras.layers.Dropout(0.2, seed=4)(keras.layers.Concatenate()([words, price]))
    return inputs, keras.layers.Dense(6, activation="softmax")(both)


def build():
    return keras.Model(*layers())


class ByNumber(keras.Model):
    def labels(self, y):
        return ops.expand_dims(ops.argmax(y, axis=-1), axis=-1)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(x, self.labels(y), y_pred, sample_weight)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred, training=True)
        grads = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(list(zip(grads, self.trainable_weights, strict=True)))
        self.metrics[0].update_state(loss, sample_weight=ops.shape(y_pred)[0])
        return self.compute_metrics(x, y, y_pred)


class ByRow(ByNumber):
    def labels(self, y):
        return 3.0 * ops.one_hot(ops.argmax(y, axis=-1), 6) - 1.0


def build_by_number():
    return ByNumber(*layers())


def build_by_row():
    return ByRow(*layers())
