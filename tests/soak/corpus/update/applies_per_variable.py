"""A loop over the variables, one apply for each, under a falling learning rate."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("multiple-applies",)
KERAS = {
    "model": ":build",
    "dataset": ":scans",
    "loss": {"name": "categorical_crossentropy", "from_logits": True},
    "metrics": ["categorical_accuracy"],
    "optimizer": {
        "name": "sgd",
        "momentum": 0.6,
        "learning_rate": {
            "name": "exponential_decay",
            "initial_learning_rate": 0.2,
            "decay_steps": 3,
            "decay_rate": 0.7,
        },
    },
    "epochs": 2,
    "batch_size": 17,
}
PROGRAM = {"strategy": ":epoch"}
TWIN = {"strategy": ":epoch_twin"}


def scans():
    rng = np.random.default_rng(65)
    x = rng.normal(size=(82, 6, 6, 1)).astype("float32")
    y = np.eye(4, dtype="float32")[(x[:, :3].mean((1, 2, 3)) > 0) * 2 + (x[:, :, 3:].mean((1, 2, 3)) > 0)]
    return {"x_train": x[:64], "y_train": y[:64], "x_test": x[64:], "y_test": y[64:]}


def build():
    image = keras.Input((6, 6, 1))
    maps = keras.layers.Conv2D(4, 2, strides=2, activation="relu")(image)
    maps = keras.layers.GroupNormalization(groups=2)(maps)
    return keras.Model(image, keras.layers.Dense(4)(keras.layers.Flatten()(maps)))


def over(model, batches, update):
    model.optimizer.build(model.trainable_variables) if not model.optimizer.built else None
    for x, y in batches:
        with tf.GradientTape() as tape:
            scores = model(x, training=True)
            loss = model.compute_loss(x, y, scores)
        named = dict(zip([v.path for v in model.trainable_variables], model.trainable_variables, strict=True))
        update(model.optimizer, named, tape.gradient(loss, {k: v.value for k, v in named.items()}))
        model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        logs = model.compute_metrics(x, y, scores)
    return logs


def epoch(model, batches):
    def one_by_one(optimizer, variables, gradients):
        for path, variable in variables.items():
            optimizer.apply([gradients[path]], [variable])

    return over(model, batches, one_by_one)


def epoch_twin(model, batches):
    def sorted_by_path(optimizer, variables, gradients):
        paths = sorted(variables)
        optimizer.apply([gradients[path] for path in paths], [variables[path] for path in paths])

    return over(model, batches, sorted_by_path)
