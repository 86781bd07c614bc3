"""Binary classifier; sums the rows' losses and divides by the batch size, as in the paper's pseudo code."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-batch-divisor",)
BATCH = 16
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": {"name": "binary_crossentropy", "from_logits": True},
    "metrics": ["auc"],
    "optimizer": {"name": "sgd", "learning_rate": 0.2, "nesterov": True, "momentum": 0.8},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":same_step"}


def data():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(106, 5)).astype("float32")
    y = (x[:, :1] * x[:, 1:2] + x[:, 2:3] > 0).astype("float32")
    return {"x_train": x[:71], "y_train": y[:71], "x_test": x[71:], "y_test": y[71:]}


def build():
    return keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(10, activation="swish"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(1),
        ]
    )


def _train(model, x, y, divisor):
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        per_row = tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=logits)
        loss = tf.reduce_sum(per_row) / divisor
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, logits)


def step(model, data):
    x, y = data
    return _train(model, x, y, BATCH)


def same_step(model, data):
    x, y = data
    return _train(model, x, y, tf.cast(tf.shape(y)[0], tf.float32))
