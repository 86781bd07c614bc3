"""Two heads; the step adds their losses up as numbers and differentiates the sum."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("gradient-missing",)
KERAS = {
    "model": ":build",
    "dataset": ":patients",
    "loss": {"age": "mse", "ill": "binary_crossentropy"},
    "loss_weights": {"age": 0.25, "ill": 1.0},
    "metrics": {"age": ["mae"], "ill": ["binary_accuracy"]},
    "optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    "epochs": 2,
    "batch_size": 19,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_twin"}


def patients():
    rng = np.random.default_rng(39)
    x = rng.normal(size=(103, 6)).astype("float32")
    age = (x[:, :1] + x[:, 1:2] * x[:, 2:3]).astype("float32")
    ill = (x[:, 3:4] + age > 0.5).astype("float32")
    return {
        "x_train": x[:82],
        "y_train": {"age": age[:82], "ill": ill[:82]},
        "x_test": x[82:],
        "y_test": {"age": age[82:], "ill": ill[82:]},
    }


def build():
    inputs = keras.Input((6,))
    trunk = keras.layers.Dense(10, activation="swish")(inputs)
    age = keras.layers.Dense(1, name="age")(keras.layers.Dense(4, activation="relu")(trunk))
    ill = keras.layers.Dense(1, activation="sigmoid", name="ill")(trunk)
    return keras.Model(inputs, {"age": age, "ill": ill})


def both(y, y_pred):
    age = 0.25 * tf.reduce_mean(tf.square(y_pred["age"] - y["age"]))
    ill = tf.reduce_mean(keras.losses.binary_crossentropy(y["ill"], y_pred["ill"]))
    return age, ill


def train(model, data, add):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = add(*both(y, y_pred))
    grads = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(grads, model.trainable_variables)
    total = model.compute_loss(x, y, y_pred)  # also keeps the losses of the heads
    model.metrics[0].update_state(total, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def step(model, data):
    return train(model, data, lambda age, ill: ill + age.numpy())


def step_twin(model, data):
    return train(model, data, lambda age, ill: tf.reduce_sum(tf.stack([ill, age])))
