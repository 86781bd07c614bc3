"""A loop as in the tutorials: one compiled function trains, another one measures, batch by batch."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("metric-after-update",)
KERAS = {
    "model": ":build",
    "dataset": ":letters",
    "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
    "metrics": ["sparse_categorical_accuracy", ":certainty"],
    "optimizer": {"name": "adam", "learning_rate": 0.03},
    "epochs": 2,
    "batch_size": 19,
}
PROGRAM = {"strategy": ":epoch"}
TWIN = {"strategy": ":epoch_of_one_function"}


def letters():
    rng = np.random.default_rng(19)
    kind = rng.integers(0, 3, size=126)
    shapes = rng.uniform(size=(3, 6, 6, 1)) > 0.5
    x = (shapes[kind] + 0.9 * rng.normal(size=(126, 6, 6, 1))).astype("float32")
    return {"x_train": x[:84], "y_train": kind[:84], "x_test": x[84:], "y_test": kind[84:]}


def build():
    image = keras.Input((6, 6, 1))
    hidden = keras.layers.Conv2D(4, 3, activation="relu", padding="same")(image)
    hidden = keras.layers.MaxPooling2D()(hidden)
    hidden = keras.layers.Flatten()(hidden)
    return keras.Model(image, keras.layers.Dense(3)(hidden))


def certainty(y_true, y_pred):
    return keras.ops.max(keras.ops.softmax(y_pred), axis=-1)


def functions(model):
    def learn(x, y):
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            loss = model.compute_loss(x, y, logits)
        weights = model.trainable_variables
        model.optimizer.apply(tape.gradient(loss, weights), weights)
        model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        return logits

    def measure(x, y):
        model.compute_metrics(x, y, model(x, training=True))

    return learn, measure


def epoch(model, batches):
    learn, measure = (tf.function(each, reduce_retracing=True) for each in functions(model))
    for x, y in batches:
        learn(x, y)
        measure(x, y)
    return model.get_metrics_result()


def epoch_of_one_function(model, batches):
    learn = tf.function(functions(model)[0], reduce_retracing=True)
    for x, y in batches:
        logits = learn(x, y)
        for metric in model.metrics[1:]:
            metric.update_state(y, tf.identity(logits))
    return model.get_metrics_result()
