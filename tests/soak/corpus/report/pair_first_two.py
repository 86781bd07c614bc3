"""Steps that take the first two things of a batch, and the mean of the loss in the tracker."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("sample-weight", "loss-report-unweighted")
KERAS = {
    "model": ":build",
    "dataset": ":surveys",
    "loss": "binary_crossentropy",
    "metrics": ["accuracy"],
    "optimizer": {"name": "adagrad", "learning_rate": 0.1},
    "epochs": 2,
    "batch_size": 22,
}
PROGRAM = {"strategy": {"name": "custom-step", "step": ":step", "test_step": ":evaluation"}}
TWIN = {"strategy": {"name": "custom-step", "step": ":full_step", "test_step": ":full_evaluation"}}


def surveys():
    rng = np.random.default_rng(193)
    x = rng.integers(0, 2, size=(138, 8)).astype("float32")
    y = ((x[:, :4].sum(axis=1) > x[:, 4:].sum(axis=1)) ^ (rng.uniform(size=138) < 0.1)).astype("int64")
    weight = np.where(y == 1, 0.4, 2.2).astype("float32") * rng.uniform(0.5, 1.5, size=138).astype("float32")
    return {
        "x_train": x[:92],
        "y_train": y[:92],
        "sample_weight_train": weight[:92],
        "x_test": x[92:],
        "y_test": y[92:],
        "sample_weight_test": weight[92:],
    }


def build():
    return keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(10, activation="relu"),
            keras.layers.Dropout(0.3, seed=2),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )


def entropy(y, p, weight):
    each = keras.losses.binary_crossentropy(tf.cast(y, tf.float32)[:, None], p)
    return tf.reduce_mean(each if weight is None else each * weight)


def learn(model, x, y, weight=None):
    with tf.GradientTape() as tape:
        p = model(x, training=True)
        loss = entropy(y, p, weight)
    slopes = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(slopes, model.trainable_variables)
    return p, loss


def step(model, data):
    x, y = data[:2]
    p, loss = learn(model, x, y)
    model.metrics[0].update_state(loss)
    return model.compute_metrics(x, y, p)


def evaluation(model, data):
    x, y = data[:2]
    p = model(x, training=False)
    model.metrics[0].update_state(entropy(y, p, None))
    return model.compute_metrics(x, y, p)


def full_step(model, data):
    x, y, weight = data
    p, loss = learn(model, x, y, weight)
    model.metrics[0].update_state(loss, len(x))
    return model.compute_metrics(x, y, p, weight)


def full_evaluation(model, data):
    x, y, weight = data
    p = model(x, training=False)
    model.metrics[0].update_state(entropy(y, p, weight), len(x))
    return model.compute_metrics(x, y, p, weight)
