"""A step of plain TensorFlow, moved to two devices as it was."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("replica-scale",)
KERAS = {
    "model": ":build",
    "dataset": ":drops",
    "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
    "epochs": 2,
    "batch_size": 16,
    "devices": 2,
    "execution": "graph",
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_twin"}


def drops():
    rng = np.random.default_rng(89)
    x = rng.normal(size=(96, 5)).astype("float32")
    y = np.argmax(x[:, :4] + x[:, 1:], axis=1)
    return {"x_train": x[:76], "y_train": y[:76], "x_test": x[76:], "y_test": y[76:]}


def build():
    return keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(9, activation="relu"), keras.layers.Dense(4)]
    )


def train(model, data, share):
    x, y = data
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
        mean = tf.reduce_mean(entropy)
        loss = share(entropy)
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    model.metrics[0].update_state(mean, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, logits)


def step(model, data):
    return train(model, data, tf.reduce_mean)


def step_twin(model, data):
    # Its global batch is, by default, this replica's rows times the replicas.
    return train(model, data, tf.nn.compute_average_loss)
