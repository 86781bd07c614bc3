"""A loop that saves memory by not recording the embedding of the words, the largest part of the model."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("gradient-missing",)
KERAS = {
    "model": ":build",
    "dataset": ":texts",
    "loss": "binary_crossentropy",
    "metrics": [],
    "optimizer": {"name": "adamax", "learning_rate": 0.02},
    "epochs": 2,
    "batch_size": 25,
}
PROGRAM = {"strategy": ":loop"}
TWIN = {"strategy": ":loop_twin"}


def texts():
    rng = np.random.default_rng(45)
    x = rng.integers(1, 25, size=(107, 8))
    x[np.arange(107)[:, None] % 5 + 3 < np.arange(8)] = 0
    y = ((x == 3) | (x == 7) | (x == 11)).any(axis=1).astype("float32")[:, None]
    return {"x_train": x[:88], "y_train": y[:88], "x_test": x[88:], "y_test": y[88:]}


def build():
    return keras.Sequential(
        [
            keras.Input((8,), dtype="int32"),
            keras.layers.Embedding(25, 5, mask_zero=True, name="words"),
            keras.layers.GRU(6, name="reader"),
            keras.layers.Dense(1, activation="sigmoid", name="verdict"),
        ]
    )


def over(model, batches, embed):
    words, reader, verdict = (model.get_layer(name) for name in ("words", "reader", "verdict"))
    for x, y in batches:
        with tf.GradientTape(persistent=True) as tape:
            vectors = embed(tape, words, x)
            y_pred = verdict(reader(vectors, mask=tf.not_equal(x, 0), training=True))
            loss = model.compute_loss(x, y, y_pred)
        grads = [tape.gradient(loss, variable.value) for variable in model.trainable_variables]
        model.optimizer.apply(grads, model.trainable_variables)
        model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.get_metrics_result()


def unrecorded(tape, words, x):
    with tape.stop_recording():
        return words(x)


def recorded(tape, words, x):
    return tf.gather(words.embeddings.value, tf.cast(x, tf.int64))


def loop(model, batches):
    return over(model, batches, unrecorded)


def loop_twin(model, batches):
    return over(model, batches, recorded)
