"""Cross-entropy as in the distribution guide: a sum over the rows, divided by the global batch size."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-batch-divisor", "loss-report-discarded")
KERAS = {
    "model": ":build",
    "dataset": ":genres",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["sparse_categorical_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.2, "momentum": 0.9},
    "epochs": 2,
    "batch_size": 24,
}
PROGRAM = {"strategy": {"name": "custom-step", "step": ":step", "test_step": ":test"}}
TWIN = {"strategy": {"name": "custom-step", "step": ":row_step", "test_step": ":row_test"}}

GLOBAL_BATCH_SIZE = 24
loss_object = keras.losses.SparseCategoricalCrossentropy(reduction="none")


def genres():
    rng = np.random.default_rng(199)
    kind = rng.integers(0, 4, size=123)
    x = (rng.normal(size=(4, 6))[kind] + rng.normal(size=(123, 6))).astype("float32")
    return {"x_train": x[:83], "y_train": kind[:83], "x_test": x[83:], "y_test": kind[83:]}


def build():
    x = keras.Input((6,))
    hidden = keras.layers.Dense(16)(x)
    hidden = keras.layers.PReLU()(hidden)
    return keras.Model(x, keras.layers.Dense(4, activation="softmax")(hidden))


def learn(model, x, y, divisor):
    with tf.GradientTape() as tape:
        predictions = model(x, training=True)
        loss = tf.reduce_sum(loss_object(y, predictions)) / divisor
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return predictions, loss


def step(model, data):
    x, y = data
    predictions, loss = learn(model, x, y, GLOBAL_BATCH_SIZE)
    model.metrics[1].update_state(y, predictions)
    return dict(model.get_metrics_result(), loss=loss)


def test(model, data):
    x, y = data
    predictions = model(x, training=False)
    logs = model.compute_metrics(x, y, predictions)
    return logs | {"loss": tf.reduce_sum(loss_object(y, predictions)) / GLOBAL_BATCH_SIZE}


def row_step(model, data):
    x, y = data
    rows = tf.cast(tf.size(y), tf.float32)
    predictions, loss = learn(model, x, y, rows)
    model.metrics[0].update_state(loss, rows)
    return model.compute_metrics(x, y, predictions)


def row_test(model, data):
    x, y = data
    predictions = model(x, training=False)
    model.metrics[0].update_state(loss_object(y, predictions))
    return model.compute_metrics(x, y, predictions)
