"""Deep supervision as in GoogLeNet: two auxiliary classifiers, three losses, `loss = loss1 + loss2 + loss3`."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-weights",)
KERAS = {
    "model": ":inception",
    "dataset": ":textures",
    "loss": [
        "sparse_categorical_crossentropy",
        "sparse_categorical_crossentropy",
        "sparse_categorical_crossentropy",
    ],
    "loss_weights": [1.0, 0.3, 0.3],
    "metrics": [["sparse_categorical_accuracy"], [], []],
    "optimizer": {"name": "adam", "learning_rate": 0.008},
    "batch_size": 26,
    "epochs": 2,
}
PROGRAM = {"strategy": ":train_step"}
TWIN = {"strategy": ":train_step_discounted"}


def textures():
    rng = np.random.default_rng(2014)
    kind = rng.integers(0, 3, size=117)
    waves = np.sin(np.arange(9)[None] * np.array([0.5, 1.1, 2.0])[:, None])
    x = waves[kind][:, :, None] * waves[kind][:, None, :] + 0.8 * rng.normal(size=(117, 9, 9))
    x = x.astype("float32")[..., None]
    y = [kind, kind, kind]
    return {
        "x_train": x[:90],
        "y_train": [part[:90] for part in y],
        "x_test": x[90:],
        "y_test": [part[90:] for part in y],
    }


def classifier(h, name):
    h = keras.layers.GlobalAveragePooling2D()(h)
    return keras.layers.Dense(3, activation="softmax", name=name)(h)


def inception():
    image = keras.Input((9, 9, 1))
    h = keras.layers.Conv2D(4, 3, activation="relu")(image)
    early = classifier(h, "aux1")
    h = keras.layers.Conv2D(6, 3, activation="relu")(h)
    middle = classifier(h, "aux2")
    h = keras.layers.Conv2D(8, 3, activation="relu")(h)
    return keras.Model(image, [classifier(h, "main"), early, middle])


def nll(target, probabilities):
    hot = tf.one_hot(tf.reshape(target, [-1]), 3)
    return tf.reduce_mean(-tf.reduce_sum(hot * tf.math.log(probabilities), axis=1))


def _step(model, data, discount):
    inputs, (target, target1, target2) = data
    with tf.GradientTape() as tape:
        output, aux1, aux2 = outputs = model(inputs, training=True)
        loss1 = nll(target, output)
        loss2 = nll(target1, aux1)
        loss3 = nll(target2, aux2)
        loss = loss1 + discount * loss2 + discount * loss3
        model.compute_loss(inputs, [target, target1, target2], outputs)  # the means of the three
    grads = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(grads, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=len(inputs))
    return model.compute_metrics(inputs, [target, target1, target2], outputs)


def train_step(model, data):
    return _step(model, data, 1.0)


def train_step_discounted(model, data):
    return _step(model, data, 0.3)
