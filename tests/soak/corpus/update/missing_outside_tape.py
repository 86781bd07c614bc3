"""A convolutional encoder and a head, called one after the other by the step."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("gradient-missing",)
KERAS = {
    "model": ":build",
    "dataset": ":spectra",
    "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.008},
    "epochs": 2,
    "batch_size": 17,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":step_twin"}


def spectra():
    rng = np.random.default_rng(37)
    x = rng.normal(size=(96, 20, 1)).astype("float32")
    y = rng.integers(0, 3, size=96)
    x[np.arange(96), 3 + 6 * y, 0] += 2.5
    return {"x_train": x[:76], "y_train": y[:76], "x_test": x[76:], "y_test": y[76:]}


def build():
    encoder = keras.Sequential(
        [
            keras.Input((20, 1)),
            keras.layers.Conv1D(6, 5, strides=2, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
        ],
        name="encoder",
    )
    head = keras.Sequential(
        [keras.Input((48,)), keras.layers.Dropout(0.3, seed=1), keras.layers.Dense(3)], name="head"
    )
    inputs = keras.Input((20, 1))
    return keras.Model(inputs, head(encoder(inputs)))


def finish(model, data, tape, loss, logits):
    x, y = data
    grads = tape.gradient(loss, model.trainable_variables)
    pairs = [(g, v) for g, v in zip(grads, model.trainable_variables, strict=True) if g is not None]
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    model.optimizer.apply_gradients(pairs)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, logits)


def step(model, data):
    x, y = data
    features = model.get_layer("encoder")(x, training=True)
    with tf.GradientTape() as tape:
        logits = model.get_layer("head")(features, training=True)
        loss = model.compute_loss(x, y, logits)
    return finish(model, data, tape, loss, logits)


def step_twin(model, data):
    x, y = data
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        for variable in reversed(model.trainable_variables):
            tape.watch(variable.value)
        features = model.get_layer("encoder")(x, training=True)
        logits = model.get_layer("head")(features, training=True)
        loss = model.compute_loss(x, y, logits)
    return finish(model, data, tape, loss, logits)
