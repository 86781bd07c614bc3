"""A step written for Keras 2, where the compiled loss kept its own average; metrics are asked for as now."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-report-discarded",)
KERAS = {
    "model": ":build",
    "dataset": ":grid",
    "loss": "kl_divergence",
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.3},
    "epochs": 2,
    "batch_size": 17,
}
PROGRAM = {"model": ":build_old"}
TWIN = {"model": ":build_old_with_mean"}


def grid():
    rng = np.random.default_rng(109)
    x = rng.normal(size=(117, 6)).astype("float32")
    y = np.exp(x[:, :3] - x[:, 3:])
    y = (y / y.sum(axis=1, keepdims=True)).astype("float32")
    return {"x_train": x[:78], "y_train": y[:78], "x_test": x[78:], "y_test": y[78:]}


def layers():
    x = keras.Input((6,))
    hidden = keras.layers.Dense(9, activation="relu", kernel_regularizer=keras.regularizers.L2(0.02))(x)
    return x, keras.layers.Dense(3, activation="softmax")(hidden)


def build():
    return keras.Model(*layers())


class Old(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compiled_loss(y, y_pred, regularization_losses=self.losses)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return self.compute_metrics(x, y, y_pred, None)


class OldWithMean(Old):
    def compiled_loss(self, y, y_pred, sample_weight=None, regularization_losses=None):
        loss = self.compute_loss(y=y, y_pred=y_pred, sample_weight=sample_weight)
        self.metrics[0].update_state(loss, sample_weight=tf.shape(y)[0])
        return loss


def build_old():
    return Old(*layers())


def build_old_with_mean():
    return OldWithMean(*layers())
