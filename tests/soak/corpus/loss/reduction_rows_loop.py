"""A small convolutional classifier with its own epoch loop around a compiled inner function."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-reduction",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.004},
    "batch_size": 20,
    "epochs": 2,
}
PROGRAM = {"strategy": ":epoch"}
TWIN = {"strategy": ":same_epoch"}


def data():
    rng = np.random.default_rng(5)
    x = rng.uniform(size=(120, 8, 8, 1)).astype("float32")
    y = (x[:, :4].sum(axis=(1, 2, 3)) * 1.3).astype("int64") % 4
    return {"x_train": x[:89], "y_train": y[:89], "x_test": x[89:], "y_test": y[89:]}


def build(signature):
    image = keras.Input(signature.inputs.shape[1:])
    h = keras.layers.Conv2D(5, 3, strides=2, use_bias=False)(image)
    h = keras.layers.ReLU()(keras.layers.BatchNormalization()(h))
    return keras.Model(image, keras.layers.Dense(4)(keras.layers.Flatten()(h)))


def _inner(model, loss_of):
    model.optimizer.build(model.trainable_variables)

    @tf.function
    def train(x, y):
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            loss = loss_of(y, logits)
        grads = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply(grads, model.trainable_variables)
        return loss, logits

    return train


def _run(model, batches, loss_of):
    train = _inner(model, loss_of)
    for x, y in batches:
        loss, logits = train(x, y)
        model.metrics[0].update_state(loss, sample_weight=len(x))
        logs = model.compute_metrics(x, y, logits, None)
    return logs


def epoch(model, batches):
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    return _run(model, batches, loss_of)


def same_epoch(model, batches):
    total = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")

    def loss_of(y, logits):
        return total(y, logits) * tf.math.reciprocal(tf.cast(tf.size(y), logits.dtype))

    return _run(model, batches, loss_of)
