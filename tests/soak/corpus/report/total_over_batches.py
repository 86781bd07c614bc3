"""A loop in the manner of other libraries: running loss, divided by the number of batches in the end."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-report-unweighted",)
KERAS = {
    "model": ":build",
    "dataset": ":tracks",
    "loss": {"name": "categorical_focal_crossentropy", "gamma": 1.5},
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.005, "centered": True},
    "epochs": 2,
    "batch_size": 24,
}
PROGRAM = {"strategy": ":epoch_over_batches"}
TWIN = {"strategy": ":epoch_over_rows"}


def tracks():
    rng = np.random.default_rng(131)
    kind = rng.integers(0, 3, size=115)
    x = np.cumsum(rng.normal(size=(115, 6, 2)) + 0.4 * (kind[:, None, None] - 1), axis=1).astype("float32")
    x[np.arange(6) >= rng.integers(3, 7, size=115)[:, None]] = 0.0
    y = np.eye(3, dtype="float32")[kind]
    return {"x_train": x[:75], "y_train": y[:75], "x_test": x[75:], "y_test": y[75:]}


def build():
    return keras.Sequential(
        [
            keras.Input((6, 2)),
            keras.layers.Masking(),
            keras.layers.GRU(5),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def epoch(model, batches, per):
    running_loss, parts = 0.0, 0
    criterion = keras.losses.CategoricalFocalCrossentropy(gamma=1.5, reduction="sum")
    for inputs, labels in batches:
        rows = int(inputs.shape[0])
        with tf.GradientTape() as tape:
            outputs = model(inputs, training=True)
            loss = criterion(labels, outputs) / rows
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply(gradients, model.trainable_variables)
        running_loss += float(loss) * per(rows)
        parts += per(rows)
        model.compute_metrics(inputs, labels, outputs)
    model.metrics[0].update_state(running_loss / parts)
    return model.get_metrics_result()


def epoch_over_batches(model, batches):
    return epoch(model, batches, per=lambda rows: 1)


def epoch_over_rows(model, batches):
    return epoch(model, batches, per=lambda rows: rows)
