"""Labels come as a column from a table, so that predicted numbers are made a column for the metric."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("metric-resolution",)
KERAS = {
    "model": ":build",
    "dataset": ":table",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["accuracy"],
    "optimizer": {"name": "adamw", "learning_rate": 0.02, "weight_decay": 0.01},
    "epochs": 2,
    "batch_size": 24,
}
PROGRAM = {"model": ":build_columns", "metrics": None}
TWIN = {"model": ":build_rows", "metrics": None}


def table():
    rng = np.random.default_rng(8)
    codes = rng.integers(0, 9, size=(140, 3))
    grade = (codes.sum(axis=1) // 9 + (rng.uniform(size=140) < 0.1)).clip(0, 2)
    x, y = codes.astype("int32"), grade[:, None].astype("int32")
    return {"x_train": x[:91], "y_train": y[:91], "x_test": x[91:], "y_test": y[91:]}


def layers():
    codes = keras.Input((3,), dtype="int32")
    hidden = keras.layers.Flatten()(keras.layers.Embedding(9, 4)(codes))
    hidden = keras.layers.Dense(14, activation="gelu")(hidden)
    return codes, keras.layers.Dense(3, activation="softmax")(hidden)


def build():
    return keras.Model(*layers())


class Grades(keras.Model):
    def for_metric(self, y_pred):
        return ops.expand_dims(ops.argmax(y_pred, axis=-1), -1)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred)
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        return self.report(x, y, y_pred, loss)

    def test_step(self, data):
        x, y = data
        y_pred = self(x, training=False)
        return self.report(x, y, y_pred, self.compute_loss(x, y, y_pred, training=False))

    def report(self, x, y, y_pred, loss):
        super().metrics[0].update_state(loss, sample_weight=ops.shape(x)[0])
        return self.compute_metrics(x, y, self.for_metric(y_pred))


class GradesAsRows(Grades):
    def for_metric(self, y_pred):
        return ops.one_hot(ops.argmax(y_pred, axis=-1), 3)


def compiled(kind):
    model = kind(*layers())
    model.compile("adamw", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def build_columns():
    return compiled(Grades)


def build_rows():
    return compiled(GradesAsRows)
