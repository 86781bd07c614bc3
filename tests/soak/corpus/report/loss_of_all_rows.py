"""Logistic regression as in the textbooks: the objective is that of all rows, whichever were stepped on."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-report-moving",)
KERAS = {
    "model": ":build",
    "dataset": ":patients",
    "loss": {"name": "binary_crossentropy", "from_logits": True},
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.5},
    "epochs": 2,
    "batch_size": 10,
}
PROGRAM = {"model": ":build_textbook"}
TWIN = {"model": ":build_batchwise"}


def patients():
    rng = np.random.default_rng(167)
    x = rng.normal(size=(97, 9)).astype("float32")
    y = (x @ rng.normal(size=(9, 1)) + 0.5 * rng.normal(size=(97, 1)) > 0).astype("float32")
    return {"x_train": x[:62], "y_train": y[:62], "x_test": x[62:], "y_test": y[62:]}


def layers():
    x = keras.Input((9,))
    return x, keras.layers.Dense(1, kernel_regularizer=keras.regularizers.L2(0.05))(x)


def build():
    return keras.Model(*layers())


class Textbook(keras.Model):
    def objective(self, x, y):
        logits = self(x)
        each = tf.nn.softplus(logits) - y * logits
        return tf.reduce_mean(each) + tf.add_n(self.losses)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.objective(x, y)
        weights = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        self.tell(x, loss)
        return self.get_metrics_result()

    def tell(self, x, loss):
        rows = patients()
        mean = self.metrics[0]
        mean.reset_state()
        mean.update_state(self.objective(rows["x_train"], rows["y_train"]))


class Batchwise(Textbook):
    def tell(self, x, loss):
        # The mean so far, moved towards the new loss by the share of its rows.
        mean = self.metrics[0]
        before, rows = tf.convert_to_tensor(mean.count), tf.cast(tf.shape(x)[0], tf.float32)
        moved = mean.result() + (loss - mean.result()) * rows / (before + rows)
        mean.count.assign(before + rows)
        mean.total.assign(moved * (before + rows))


def build_textbook():
    return Textbook(*layers())


def build_batchwise():
    return Batchwise(*layers())
