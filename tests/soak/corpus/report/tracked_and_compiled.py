"""Moved to Keras 3 half way: the loss is tracked, and the compiled metrics are still told what came out."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("loss-report-shim",)
KERAS = {
    "model": ":build",
    "dataset": ":sketches",
    "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "optimizer": {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.05},
    "epochs": 2,
    "batch_size": 21,
}
PROGRAM = {"strategy": {"name": "custom-step", "step": ":step", "test_step": ":evaluation"}}
TWIN = {"strategy": {"name": "custom-step", "step": ":whole_step", "test_step": ":whole_evaluation"}}


def sketches():
    rng = np.random.default_rng(157)
    kind = rng.integers(0, 3, size=126)
    x = (rng.normal(size=(3, 5, 5, 1))[kind] + rng.normal(size=(126, 5, 5, 1))).astype("float32")
    return {"x_train": x[:83], "y_train": kind[:83], "x_test": x[83:], "y_test": kind[83:]}


def build():
    return keras.Sequential(
        [
            keras.Input((5, 5, 1)),
            keras.layers.SeparableConv2D(6, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )


def old_metrics(model, y, logits):
    model.compiled_metrics.update_state(y, logits)


def new_metrics(model, y, logits):
    model.compute_metrics(None, y, logits)


def one_step(model, data, update):
    x, y = data
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = model.compute_loss(y=y, y_pred=logits)
    kerasx.track_loss(model, loss, x)
    tape_of = model.trainable_weights[::-1]
    slopes = tape.gradient(loss, tape_of)
    model.optimizer.apply(slopes[::-1], tape_of[::-1])
    update(model, y, logits)
    return model.get_metrics_result()


def one_test(model, data, update):
    x, y = data
    logits = model(x, training=False)
    kerasx.track_loss(model, model.compute_loss(y=y, y_pred=logits, training=False), x)
    update(model, y, logits)
    return model.get_metrics_result()


def step(model, data):
    return one_step(model, data, old_metrics)


def evaluation(model, data):
    return one_test(model, data, old_metrics)


def whole_step(model, data):
    return one_step(model, data, new_metrics)


def whole_evaluation(model, data):
    return one_test(model, data, new_metrics)
