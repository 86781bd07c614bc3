"""The slices of gradients that embeddings have are made dense, so that all can be handled alike."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("unknown",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "binary_crossentropy",
    "metrics": ["binary_accuracy"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.01},
    "batch_size": 22,
    "epochs": 2,
}
PROGRAM = {"strategy": ":dense_step"}
TWIN = {"strategy": ":rebuilt_step"}


def data():
    rng = np.random.default_rng(48)
    words = rng.integers(0, 9, size=(100, 6))
    y = ((words < 3).sum(axis=1) > 2).astype("float32")[:, None]
    return {"x_train": words[:80], "y_train": y[:80], "x_test": words[80:], "y_test": y[80:]}


def build():
    words = keras.Input((6,), dtype="int64")
    x = keras.layers.Embedding(9, 5)(words)
    x = keras.layers.GlobalMaxPooling1D()(x)
    return keras.Model(words, keras.layers.Dense(1, activation="sigmoid")(x))


def _step(model, data, changed):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    gradients = [changed(gradient) for gradient in tape.gradient(loss, model.trainable_variables)]
    model.optimizer.apply(gradients, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def dense_step(model, data):
    return _step(model, data, tf.convert_to_tensor)


def rebuilt_step(model, data):
    def rebuilt(gradient):
        if not isinstance(gradient, tf.IndexedSlices):
            return tf.identity(gradient)
        return tf.IndexedSlices(tf.identity(gradient.values), gradient.indices, gradient.dense_shape)

    return _step(model, data, rebuilt)
