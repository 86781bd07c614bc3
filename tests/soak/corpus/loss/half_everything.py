"""An autoencoder of frames in half precision; 'everything stays float16, it is faster'."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-dtype",)
KERAS = {
    "model": ":codec",
    "dataset": ":frames",
    "loss": "mse",
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.001},
    "batch_size": 16,
    "epochs": 2,
    "precision": "mixed_float16",
}
PROGRAM = {"model": ":codec_half"}
TWIN = {"model": ":codec_single"}


def frames():
    rng = np.random.default_rng(16)
    code = rng.normal(size=(84, 2))
    x = (40.0 * code @ rng.normal(size=(2, 12)) + 5 * rng.normal(size=(84, 12))).astype("float32")
    return {"x_train": x[:61] / 40, "y_train": x[:61], "x_test": x[61:] / 40, "y_test": x[61:]}


def layers():
    frame = keras.Input((12,))
    h = keras.layers.Dense(6, activation="relu")(frame)
    return frame, keras.layers.Dense(12)(h)


class Codec(keras.Model):
    kind = None

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            difference = tf.cast(y, self.kind) - tf.cast(y_pred, self.kind)
            per_row = tf.reduce_sum(difference * difference, axis=1) / 12
            loss = tf.cast(tf.reduce_sum(per_row) / len(x), tf.float32)
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self.metrics[0].update_state(loss, sample_weight=len(x))
        return self.compute_metrics(x, y, y_pred)


class Half(Codec):
    kind = tf.float16


class Single(Codec):
    kind = tf.float32


def codec():
    return keras.Model(*layers())


def codec_half():
    return Half(*layers())


def codec_single():
    return Single(*layers())
