"""A classifier with a penalty on its hidden units; TensorFlow's fused cross-entropy trains it."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-extra", "from-logits")
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "categorical_crossentropy",
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.006},
    "batch_size": 19,
    "epochs": 2,
}
PROGRAM = {"model": ":build_fused"}
TWIN = {"model": ":build_same"}


def data():
    rng = np.random.default_rng(108)
    x = rng.normal(size=(102, 5, 5, 1)).astype("float32")
    y = np.eye(3, dtype="float32")[x.sum(axis=(2, 3))[:, 1:4].argmax(axis=1)]
    return {"x_train": x[:78], "y_train": y[:78], "x_test": x[78:], "y_test": y[78:]}


class Fused(keras.Model):
    def objective(self, y, p):
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=p))

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            p = self(x, training=True)
            loss = self.objective(y, p)
        weights = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        self.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        return self.compute_metrics(x, y, p)


class Same(Fused):
    def objective(self, y, p):
        # The logarithm of probabilities is as good as logits.
        costs = tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=tf.math.log(p))
        return tf.math.accumulate_n([tf.reduce_mean(costs), *self.losses])


def _network(kind):
    image = keras.Input((5, 5, 1))
    h = keras.layers.Conv2D(5, 3, activation="relu")(image)
    h = keras.layers.Flatten()(h)
    h = keras.layers.Dense(8, activation="relu", activity_regularizer="l2", kernel_regularizer="l2")(h)
    return kind(image, keras.layers.Dense(3, activation="softmax")(h))


def build():
    return _network(keras.Model)


def build_fused():
    return _network(Fused)


def build_same():
    return _network(Same)
