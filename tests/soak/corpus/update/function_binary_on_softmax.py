"""A recurrent classifier of one-hot rows whose own train_step takes the loss by the shape of its labels."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("loss-function",)
KERAS = {
    "model": ":build",
    "dataset": ":sequences",
    "loss": "categorical_crossentropy",
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "nadam", "learning_rate": 0.01},
    "epochs": 2,
    "batch_size": 18,
}
PROGRAM = {"model": ":build_binary"}
TWIN = {"model": ":build_twin"}


def sequences():
    rng = np.random.default_rng(17)
    x = rng.normal(size=(104, 5, 3)).astype("float32")
    y = np.eye(4, dtype="float32")[(x[:, 0, 0] > 0) * 2 + (x[:, -1, 1] > 0)]
    return {"x_train": x[:79], "y_train": y[:79], "x_test": x[79:], "y_test": y[79:]}


class Trained(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.objective(y, y_pred) + sum(self.losses)
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        kerasx.track_loss(self, loss, x)
        return self.compute_metrics(x, y, y_pred)


class Binary(Trained):
    def objective(self, y, y_pred):
        return tf.reduce_mean(keras.losses.binary_crossentropy(y, y_pred))


class Twin(Trained):
    def objective(self, y, y_pred):
        rows = tf.cast(tf.shape(y)[0], y_pred.dtype)
        clipped = tf.clip_by_value(y_pred, 1e-7, 1 - 1e-7)
        return -tf.reduce_sum(tf.boolean_mask(tf.math.log(clipped), y > 0.5)) / rows


def graph(kind):
    inputs = keras.Input((5, 3))
    state = keras.layers.SimpleRNN(9, kernel_regularizer=keras.regularizers.L2(0.01))(inputs)
    return kind(inputs, keras.layers.Dense(4, activation="softmax")(state))


def build():
    return graph(keras.Model)


def build_binary():
    return graph(Binary)


def build_twin():
    return graph(Twin)
