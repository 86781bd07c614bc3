"""Four steps make an epoch, after which there is validation."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

CAUSES = ("batch-size",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "binary_crossentropy",
    "metrics": ["binary_accuracy"],
    "optimizer": {"name": "adagrad", "learning_rate": 0.1},
    "batch_size": 11,
    "epochs": 2,
}
PROGRAM = {"strategy": ":four_steps"}
TWIN = {"strategy": ":until_it_ends"}


def data():
    rng = np.random.default_rng(15)
    x = rng.normal(size=(94, 12, 3)).astype("float32")
    y = (x[:, ::2].mean(axis=(1, 2)) > x[:, 1::2].mean(axis=(1, 2))).astype("float32")[:, None]
    return {"x_train": x[:63], "y_train": y[:63], "x_test": x[63:], "y_test": y[63:]}


def build():
    return keras.Sequential(
        [
            keras.Input((12, 3)),
            keras.layers.SeparableConv1D(6, 3, strides=2, activation="relu"),
            keras.layers.GlobalMaxPooling1D(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )


def _learn(model, batch):
    x, y = batch
    with tf.GradientTape() as tape:
        chance = ops.clip(model(x, training=True), 1e-7, 1 - 1e-7)
        loss = -ops.mean(y * ops.log(chance) + (1 - y) * ops.log1p(-chance))
    trained = model.trainable_variables[::-1]
    model.optimizer.apply_gradients(zip(tape.gradient(loss, trained), trained, strict=True))
    model.metrics[0].update_state(loss, sample_weight=ops.shape(x)[0])
    return model.compute_metrics(x, y, chance)


def four_steps(model, batches):
    steps_per_epoch = 4
    for step, batch in enumerate(batches):
        logs = _learn(model, batch)
        if step + 1 == steps_per_epoch:
            break
    return logs


def until_it_ends(model, batches):
    batches = iter(batches)
    while (batch := next(batches, None)) is not None:
        logs = _learn(model, batch)
    return logs
