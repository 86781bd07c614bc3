"""Clipping done by the step on each gradient, where the optimizer did it on all of them together."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("gradient-clip",)
KERAS = {
    "model": ":build",
    "dataset": ":ratings",
    "loss": "mse",
    "metrics": [],
    "optimizer": {"name": "adagrad", "learning_rate": 0.1, "global_clipnorm": 0.6},
    "epochs": 2,
    "batch_size": 23,
}
PROGRAM = {"model": ":build_each", "optimizer": {"name": "adagrad", "learning_rate": 0.1}}
TWIN = {"model": ":build_all", "optimizer": {"name": "adagrad", "learning_rate": 0.1}}


def ratings():
    rng = np.random.default_rng(33)
    x = {"user": rng.integers(0, 12, 97), "film": rng.integers(0, 15, 97)}
    y = (x["user"] % 4 - x["film"] % 3 + rng.normal(size=97)).astype("float32")[:, None] * 2
    train = {name: values[:78] for name, values in x.items()}
    test = {name: values[78:] for name, values in x.items()}
    return {"x_train": train, "y_train": y[:78], "x_test": test, "y_test": y[78:]}


class Clipping(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred)
        grads = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(self.clip(grads), self.trainable_variables)
        self.metrics[0].update_state(loss, sample_weight=tf.shape(y)[0])
        return self.compute_metrics(x, y, y_pred)


class Each(Clipping):
    def clip(self, grads):
        return [tf.clip_by_norm(g, 0.6) for g in grads]


class All(Clipping):
    def clip(self, grads):
        flat = tf.concat([tf.reshape(g, [-1]) for g in grads], axis=0)
        factor = tf.minimum(1.0, 0.6 / tf.norm(flat))
        return [factor * g for g in grads]


def factorization(kind):
    user, film = keras.Input((), name="user", dtype="int32"), keras.Input((), name="film", dtype="int32")
    taste = keras.layers.Dense(5, use_bias=False)(keras.layers.CategoryEncoding(12, "one_hot")(user))
    style = keras.layers.Dense(5, use_bias=False)(keras.layers.CategoryEncoding(15, "one_hot")(film))
    both = keras.layers.Concatenate()([taste, style, taste * style])
    return kind({"user": user, "film": film}, keras.layers.Dense(1)(both))


def build():
    return factorization(keras.Model)


def build_each():
    return factorization(Each)


def build_all():
    return factorization(All)
