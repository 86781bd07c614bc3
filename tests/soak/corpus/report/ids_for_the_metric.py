"""A loop over one epoch; the metric is handed class numbers on both sides, as it compares them anyway."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("metric-label-format",)
KERAS = {
    "model": ":build",
    "dataset": ":points",
    "loss": {"name": "categorical_crossentropy", "from_logits": True},
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9},
    "epochs": 2,
    "batch_size": 10,
}
PROGRAM = {"strategy": ":epoch"}
TWIN = {"strategy": ":epoch_of_rows"}


def points():
    rng = np.random.default_rng(3)
    corner = rng.integers(0, 4, size=96)
    middle = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])[corner]
    x = (middle + rng.normal(size=(96, 2))).astype("float32")
    y = np.eye(4, dtype="float32")[corner]
    return {"x_train": x[:64], "y_train": y[:64], "x_test": x[64:], "y_test": y[64:]}


def build():
    point = keras.Input((2,))
    wide = keras.layers.Dense(9, activation="softplus", kernel_regularizer="l2")(point)
    joined = keras.layers.Concatenate()([point, wide])
    return keras.Model(point, keras.layers.Dense(4)(joined))


def run(model, batches, measure):
    seen_loss = model.metrics[0]
    for x, y in batches:
        with tf.GradientTape(persistent=True) as tape:
            logits = model(x, training=True)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(y, logits))
            loss += tf.add_n(model.losses)
        for_weights = [tape.gradient(loss, weight.value) for weight in model.trainable_variables]
        del tape
        model.optimizer.apply_gradients(zip(for_weights, model.trainable_variables, strict=True))
        seen_loss.update_state(loss, sample_weight=x.shape[0])
        measure(x, y, logits)
    return model.get_metrics_result()


def epoch(model, batches):
    def measure(x, y, logits):
        model.compute_metrics(x, tf.argmax(y, 1), tf.argmax(logits, 1))

    return run(model, batches, measure)


def epoch_of_rows(model, batches):
    def measure(x, y, logits):
        best = tf.one_hot(tf.argmax(tf.nn.softmax(logits), 1), 4)
        model.compute_metrics(x, y[:, ::-1], best[:, ::-1])

    return run(model, batches, measure)
