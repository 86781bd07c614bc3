"""Body and head are updated one after the other; accuracy is what the new weights reach."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("multiple-applies", "metric-after-update")
KERAS = {
    "model": ":build",
    "dataset": ":leaves",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.03},
    "epochs": 2,
    "batch_size": 19,
}
PROGRAM = {"model": ":build_parts"}
TWIN = {"model": ":build_twin"}


def leaves():
    rng = np.random.default_rng(101)
    x = rng.normal(size=(105, 7)).astype("float32")
    y = np.argmax(x[:, :3] * x[:, 3:6], axis=1)
    return {"x_train": x[:84], "y_train": y[:84], "x_test": x[84:], "y_test": y[84:]}


class Parts(keras.Model):
    def train_step(self, data):
        x, y = data
        body, head = self.trainable_variables[:-2], self.trainable_variables[-2:]
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred)
        body_grads, head_grads = tape.gradient(loss, [body, head])
        kerasx.track_loss(self, loss, x)
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        return self.finish(x, y, y_pred, [(body_grads, body), (head_grads, head)])

    def finish(self, x, y, y_pred, parts):
        for grads, variables in parts:
            self.optimizer.apply(grads, variables)
        return self.compute_metrics(x, y, self(x, training=True))


class Twin(Parts):
    def finish(self, x, y, y_pred, parts):
        results = self.compute_metrics(x, y, y_pred)
        pairs = [pair for grads, variables in parts for pair in zip(grads, variables, strict=True)]
        self.optimizer.apply_gradients(pairs)
        return results


def graph(kind):
    inputs = keras.Input((7,))
    x = keras.layers.Dense(12, activation="relu")(inputs)
    x = keras.layers.Dense(6, activation="relu")(x)
    return kind(inputs, keras.layers.Dense(3, activation="softmax")(x))


def build():
    return graph(keras.Model)


def build_parts():
    return graph(Parts)


def build_twin():
    return graph(Twin)
