"""Two outputs of one network; the class asks itself again for the outputs that its metrics are to see."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("metric-after-update",)
KERAS = {
    "model": ":build",
    "dataset": ":machines",
    "loss": {"heat": "mse", "fault": "binary_crossentropy"},
    "loss_weights": {"heat": 0.4, "fault": 1.0},
    "metrics": {"heat": ["mae"], "fault": ["binary_accuracy"]},
    "optimizer": {"name": "adam", "learning_rate": 0.02, "amsgrad": True},
    "epochs": 2,
    "batch_size": 20,
}
PROGRAM = {"model": ":build_asking_again"}
TWIN = {"model": ":build_remembering"}


def machines():
    rng = np.random.default_rng(37)
    x = rng.normal(size=(108, 6)).astype("float32")
    heat = (x[:, :3].sum(axis=1, keepdims=True) * 0.7).astype("float32")
    fault = (x[:, 3:4] + heat > 0.5).astype("float32")
    return {
        "x_train": x[:72],
        "y_train": {"heat": heat[:72], "fault": fault[:72]},
        "x_test": x[72:],
        "y_test": {"heat": heat[72:], "fault": fault[72:]},
    }


def layers():
    sensors = keras.Input((6,))
    hidden = keras.layers.Dense(12, activation="silu")(sensors)
    return sensors, {
        "heat": keras.layers.Dense(1, name="heat")(hidden),
        "fault": keras.layers.Dense(1, activation="sigmoid", name="fault")(hidden),
    }


def build():
    return keras.Model(*layers())


class Machine(keras.Model):
    asks_again = True

    def train_step(self, data):
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            outputs = self(x, training=True)
            loss = self.compute_loss(x, y, outputs, weight)
        self.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        slopes = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(slopes, self.trainable_weights, strict=True))
        if self.asks_again:
            outputs = self(x, training=True)
        return self.compute_metrics(x, y, outputs, weight)


class RememberingMachine(Machine):
    asks_again = False


def build_asking_again():
    return Machine(*layers())


def build_remembering():
    return RememberingMachine(*layers())
