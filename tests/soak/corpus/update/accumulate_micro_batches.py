"""Batches that would not fit are cut in four, and the optimizer puts the pieces together again."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("gradient-accumulation",)
KERAS = {
    "model": ":build",
    "dataset": ":tiles",
    "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "optimizer": {
        "name": "sgd",
        "momentum": 0.9,
        "learning_rate": {
            "name": "exponential_decay",
            "initial_learning_rate": 0.1,
            "decay_steps": 4,
            "decay_rate": 0.6,
        },
    },
    "epochs": 2,
    "batch_size": 20,
}
PROGRAM = {
    "strategy": ":step",
    "optimizer": {
        "name": "sgd",
        "momentum": 0.9,
        "gradient_accumulation_steps": 4,
        "learning_rate": {
            "name": "exponential_decay",
            "initial_learning_rate": 0.1,
            "decay_steps": 4,
            "decay_rate": 0.6,
        },
    },
}
TWIN = {"strategy": ":step_twin"}
PARTS = 4


def tiles():
    rng = np.random.default_rng(75)
    x = rng.normal(size=(101, 4, 4, 2)).astype("float32")
    y = (x[..., 0].mean((1, 2)) > x[..., 1].mean((1, 2))).astype("int64")
    return {"x_train": x[:73], "y_train": y[:73], "x_test": x[73:], "y_test": y[73:]}


def build():
    return keras.Sequential(
        [
            keras.Input((4, 4, 2)),
            keras.layers.Conv2D(5, 2, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2),
        ]
    )


def pieces(model, data):
    x, y = data
    rows = x.shape[0]
    for number in range(PARTS):
        part = slice(number * rows // PARTS, (number + 1) * rows // PARTS)
        with tf.GradientTape() as tape:
            scores = model(x[part], training=True)
            entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(y[part], scores)
            loss = tf.reduce_sum(entropy) / rows
        yield tape.gradient(loss, model.trainable_variables), loss, scores


def train(model, data, joined):
    gradients, losses, scores = zip(*pieces(model, data), strict=True)
    if joined:
        gradients = [[tf.add_n(each) / PARTS for each in zip(*gradients, strict=True)]]
    for each in gradients:
        model.optimizer.apply([PARTS * g for g in each], model.trainable_variables)
    model.metrics[0].update_state(tf.add_n(losses), sample_weight=data[0].shape[0])
    return model.compute_metrics(*data, tf.concat(scores, axis=0))


def step(model, data):
    return train(model, data, joined=False)


def step_twin(model, data):
    return train(model, data, joined=True)
