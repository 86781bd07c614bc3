"""One-hot targets with some of the mass spread out, as in the image classification recipes."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-function",)
KERAS = {
    "model": ":build",
    "dataset": ":images",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["sparse_categorical_accuracy"],
    "optimizer": {"name": "adamw", "learning_rate": 0.004, "weight_decay": 0.02},
    "epochs": 2,
    "batch_size": 15,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":plain_step"}
CLASSES = 5


def images():
    rng = np.random.default_rng(31)
    x = rng.uniform(size=(85, 6, 6, 1)).astype("float32")
    y = np.clip((x.mean((1, 2, 3)) * 40 - 17.5).astype("int64"), 0, CLASSES - 1)
    return {"x_train": x[:64], "y_train": y[:64], "x_test": x[64:], "y_test": y[64:]}


def build():
    image = keras.Input((6, 6, 1))
    maps = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    maps = keras.layers.MaxPooling2D()(maps)
    return keras.Model(image, keras.layers.Dense(CLASSES, "softmax")(keras.layers.Flatten()(maps)))


def targets(y, amount):
    hot = tf.one_hot(tf.cast(y, tf.int32), CLASSES)
    return hot * (1.0 - amount) + amount / CLASSES


def train(model, data, amount):
    x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
    criterion = keras.losses.CategoricalCrossentropy()
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = criterion(targets(y, amount), y_pred, weight)
    grads = tape.gradient(loss, model.trainable_weights)
    model.optimizer.apply_gradients(zip(grads, model.trainable_weights, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred, weight)


def step(model, data):
    return train(model, data, 0.15)


def plain_step(model, data):
    return train(model, data, 0.0)
