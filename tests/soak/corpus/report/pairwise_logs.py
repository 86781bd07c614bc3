"""A ranking model with pairwise logistic loss in its train_step; the loss goes straight into the logs."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-report-discarded",)
KERAS = {
    "model": ":ranker",
    "dataset": ":pairs",
    "loss": {"name": "binary_crossentropy", "from_logits": True},
    "metrics": [{"name": "binary_accuracy", "threshold": 0.0}],
    "optimizer": {"name": "adam", "learning_rate": 0.01, "amsgrad": True},
    "batch_size": 18,
    "epochs": 2,
}
PROGRAM = {"model": ":pairwise"}
TWIN = {"model": ":pairwise_tracked"}


def pairs():
    rng = np.random.default_rng(538)
    left, right = rng.normal(size=(2, 116, 5)).astype("float32")
    better = ((left**2).sum(1) > (right**2).sum(1)).astype("float32")[:, None]
    cut = 88
    return {
        "x_train": [left[:cut], right[:cut]],
        "y_train": better[:cut],
        "x_test": [left[cut:], right[cut:]],
        "y_test": better[cut:],
    }


def siamese():
    left, right = keras.Input((5,)), keras.Input((5,))
    value = keras.Sequential([keras.layers.Dense(8, "relu"), keras.layers.Dense(1, use_bias=False)])
    return [left, right], keras.layers.Subtract()([value(left), value(right)])


class Pairwise(keras.Model):
    def after(self, loss, rows):
        pass

    def train_step(self, data):
        x, better = data
        with tf.GradientTape() as tape:
            margin = self(x, training=True)
            loss = tf.reduce_mean(tf.nn.softplus(-(2.0 * better - 1.0) * margin))
        grads = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(grads, self.trainable_weights))
        self.after(loss, len(better))
        logs = self.compute_metrics(x, better, margin)
        return {**logs, "loss": loss}


class PairwiseTracked(Pairwise):
    def after(self, loss, rows):
        tracker = next(m for m in self.metrics if m.name == "loss")
        tracker.update_state(loss, sample_weight=rows)


def ranker():
    return keras.Model(*siamese())


def pairwise():
    return Pairwise(*siamese())


def pairwise_tracked():
    return PairwiseTracked(*siamese())
