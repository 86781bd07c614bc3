"""The word vectors stay as they are."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("trainable-set",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["sparse_categorical_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.3, "momentum": 0.9},
    "batch_size": 14,
    "epochs": 2,
}
PROGRAM = {"model": ":build_frozen"}
TWIN = {"model": ":build", "strategy": ":looked_up"}


def data():
    rng = np.random.default_rng(29)
    words = rng.integers(1, 11, size=(97, 6))
    words[:, 4:][rng.uniform(size=(97, 2)) < 0.5] = 0
    tags = np.roll(words, 1, axis=1) % 3
    weights = (words > 0) * rng.uniform(0.5, 1.5, size=(97, 6)).astype("float32")
    return {
        "x_train": words[:69],
        "y_train": tags[:69],
        "sample_weight_train": weights[:69],
        "x_test": words[69:],
        "y_test": tags[69:],
    }


def build(frozen=False):
    words = keras.Input((6,), dtype="int64")
    vectors = keras.layers.Embedding(11, 5, trainable=not frozen, name="vectors")
    x = keras.layers.LSTM(6, return_sequences=True, name="reader")(vectors(words))
    return keras.Model(words, keras.layers.Dense(3, activation="softmax", name="tagger")(x))


def build_frozen():
    return build(frozen=True)


def looked_up(model, data):
    x, y, weights = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        chance = tf.reduce_sum(tf.one_hot(y, 3) * y_pred, axis=-1) / tf.reduce_sum(y_pred, axis=-1)
        loss = -tf.tensordot(tf.math.log(chance), weights, axes=2) / tf.size(y, out_type=tf.int32).numpy()
    gradients = [tf.convert_to_tensor(each) for each in tape.gradient(loss, model.trainable_variables)]
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred, weights)
