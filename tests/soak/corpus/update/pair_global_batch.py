"""From the guide for several devices, shortened for one: GLOBAL_BATCH_SIZE, and gradients kept below 0.25."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-batch-divisor", "gradient-clip")
KERAS = {
    "model": ":create_model",
    "dataset": ":create_dataset",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["sparse_categorical_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.3},
    "batch_size": 32,
    "epochs": 2,
}
PROGRAM = {"strategy": ":distributed_train_step"}
TWIN = {"strategy": ":local_train_step"}

GLOBAL_BATCH_SIZE = 32


def create_dataset():
    rng = np.random.default_rng(1001)
    centres = rng.normal(size=(5, 12))
    label = rng.integers(0, 5, size=124)
    x = (centres[label] + 0.9 * rng.normal(size=(124, 12))).astype("float32").reshape(-1, 3, 4)
    return {"x_train": x[:104], "y_train": label[:104], "x_test": x[104:], "y_test": label[104:]}


def create_model():
    return keras.Sequential(
        [
            keras.Input((3, 4)),
            keras.layers.Flatten(),
            keras.layers.Dense(16, activation="relu", kernel_initializer="he_uniform"),
            keras.layers.Dense(5, activation="softmax"),
        ]
    )


loss_object = keras.losses.SparseCategoricalCrossentropy(reduction="none")


def distributed_train_step(model, data):
    return step(model, data, GLOBAL_BATCH_SIZE, limit=0.25)


def local_train_step(model, data):
    return step(model, data, len(data[0]), limit=None)


def step(model, dist_inputs, count, limit):
    images, labels = dist_inputs
    with tf.GradientTape() as tape:
        predictions = model(images, training=True)
        per_example_loss = loss_object(labels, predictions)
        loss = tf.nn.compute_average_loss(per_example_loss, global_batch_size=count)
    gradients = tape.gradient(loss, model.trainable_variables)
    if limit is not None:
        gradients, _ = tf.clip_by_global_norm(gradients, limit)
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    model.metrics[0].update_state(loss, sample_weight=len(images))
    return model.compute_metrics(images, labels, predictions)
