"""A step that warms the learning rate up over the first batches."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("optimizer-config",)
KERAS = {
    "model": ":build",
    "dataset": ":shapes",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.02},
    "epochs": 2,
    "batch_size": 14,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_twin"}
BASE, WARM = 0.02, 8


def shapes():
    rng = np.random.default_rng(49)
    y = rng.integers(0, 3, size=87)
    x = (rng.normal(size=(87, 5, 5, 1)) * 0.5).astype("float32")
    x[y == 1, 2] += 1
    x[y == 2, :, 2] += 1
    return {"x_train": x[:66], "y_train": y[:66], "x_test": x[66:], "y_test": y[66:]}


def build():
    image = keras.Input((5, 5, 1))
    maps = keras.layers.SeparableConv2D(6, 3, activation="relu")(image)
    flat = keras.layers.Dropout(0.2, seed=8)(keras.layers.Flatten()(maps))
    return keras.Model(image, keras.layers.Dense(3, activation="softmax")(flat))


def train(model, data, rate_at):
    x, y = data
    optimizer = model.optimizer
    optimizer.learning_rate = rate_at(optimizer.iterations)
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def step(model, data):
    def warming(iteration):
        return BASE * min(1.0, (int(iteration) + 1) / WARM)

    return train(model, data, warming)


def step_twin(model, data):
    def warmed(iteration):
        return BASE * max(1.0, 1.0 / (int(iteration) + 1))

    return train(model, data, warmed)
