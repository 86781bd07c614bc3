"""Static shapes for the accelerator: short batches are filled up with empty rows, which count nothing."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-batch-divisor",)
KERAS = {
    "model": ":tower",
    "dataset": ":molecules",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 32,
    "epochs": 2,
}
PROGRAM = {"strategy": ":padded_step"}
TWIN = {"strategy": ":padded_step_by_count"}

BATCH = 32


def molecules():
    rng = np.random.default_rng(1869)
    counts = rng.poisson(2.0, size=(98, 6)).astype("float32")
    energy = (
        counts @ np.array([[0.4], [-0.2], [0.7], [0.1], [-0.5], [0.3]]) + 0.1 * counts[:, :1] * counts[:, 1:2]
    )
    energy = energy.astype("float32")
    return {"x_train": counts[:74], "y_train": energy[:74], "x_test": counts[74:], "y_test": energy[74:]}


def tower():
    atoms = keras.Input((6,), name="atoms")
    h = keras.layers.Dense(12, activation="swish")(atoms)
    h = keras.layers.Add()([h, keras.layers.Dense(12, activation="swish")(h)])
    return keras.Model(atoms, keras.layers.Dense(1, name="energy")(h))


def pad(rows):
    missing = BATCH - rows.shape[0]
    return tf.pad(rows, [[0, missing], [0, 0]])


def _run(model, data, divide):
    x, y = data
    real = tf.cast(tf.range(BATCH) < x.shape[0], tf.float32)
    with tf.GradientTape() as tape:
        energy = model(pad(x), training=True)
        squared = tf.squeeze(tf.math.squared_difference(energy, pad(y)), axis=1)
        loss = divide(squared * real, real)
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(gradients, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=x.shape[0])
    return model.compute_metrics(x, y, energy[: x.shape[0]])


def padded_step(model, data):
    return _run(model, data, lambda terms, real: tf.reduce_mean(terms))


def padded_step_by_count(model, data):
    return _run(model, data, lambda terms, real: tf.reduce_sum(terms) / tf.reduce_sum(real))
