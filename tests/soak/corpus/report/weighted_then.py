"""A class from Keras 2 with sample weights, which trains and tests with what compile made."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-report-shim",)
KERAS = {
    "model": ":build",
    "dataset": ":loans",
    "loss": "binary_crossentropy",
    "metrics": [],
    "weighted_metrics": ["binary_accuracy"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.01},
    "epochs": 2,
    "batch_size": 23,
}
PROGRAM = {"model": ":build_then"}
TWIN = {"model": ":build_now"}


def loans():
    rng = np.random.default_rng(149)
    x = rng.normal(size=(137, 5)).astype("float32")
    y = (x[:, :1] + np.maximum(x[:, 1:2], x[:, 2:3]) > 0.4).astype("float32")
    weight = rng.uniform(0.2, 3.0, size=137).astype("float32")
    return {
        "x_train": x[:90],
        "y_train": y[:90],
        "sample_weight_train": weight[:90],
        "x_test": x[90:],
        "y_test": y[90:],
        "sample_weight_test": weight[90:],
    }


def layers():
    x = keras.Input((5,))
    hidden = keras.layers.Dense(8, activation="tanh", bias_regularizer="l2")(x)
    return x, keras.layers.Dense(1, activation="sigmoid")(hidden)


def build():
    return keras.Model(*layers())


class Then(keras.Model):
    def train_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compiled_loss(y, y_pred, sample_weight, regularization_losses=self.losses)
        trainable_vars = self.trainable_variables
        gradients = tape.gradient(loss, trainable_vars)
        self.optimizer.apply_gradients(zip(gradients, trainable_vars, strict=True))
        return self.finish(y, y_pred, sample_weight, loss)

    def test_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)
        loss = self.compiled_loss(y, y_pred, sample_weight, regularization_losses=self.losses)
        return self.finish(y, y_pred, sample_weight, loss)

    def finish(self, y, y_pred, sample_weight, loss):
        self.compiled_metrics.update_state(y, y_pred, sample_weight)
        return {m.name: m.result() for m in self.metrics}


class Now(Then):
    def finish(self, y, y_pred, sample_weight, loss):
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=tf.shape(y)[0])
            else:
                metric.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()


def build_then():
    return Then(*layers())


def build_now():
    return Now(*layers())
