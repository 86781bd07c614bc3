"""Rare classes count more; a loop over the epoch in which a tf.function computes gradients."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("sample-weight",)
CLASS_WEIGHT = (0.5, 1.0, 3.0)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "class_weight": {0: 0.5, 2: 3.0},
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 26,
    "epochs": 2,
}
PROGRAM = {"strategy": ":epoch"}
TWIN = {"strategy": ":same_epoch"}


def data():
    rng = np.random.default_rng(36)
    x = rng.normal(size=(99, 4, 4, 1)).astype("float32")
    y = np.digitize(x.mean(axis=(1, 2, 3)), [0.05, 0.25]).astype("int64")
    return {"x_train": x[:72], "y_train": y[:72], "x_test": x[72:], "y_test": y[72:]}


def build():
    image = keras.Input((4, 4, 1))
    h = keras.layers.Conv2D(6, 2, activation="relu")(image)
    h = keras.layers.MaxPooling2D()(h)
    return keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(h)))


def _gradients(model, weigh):
    @tf.function(reduce_retracing=True)
    def gradients(x, y):
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            per_row = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
            loss = tf.reduce_mean(weigh(per_row, y))
        return loss, logits, tape.gradient(loss, model.trainable_weights)

    return gradients


def _epoch(model, batches, weigh):
    gradients = _gradients(model, weigh)
    for x, y, *rest in batches:
        loss, logits, grads = gradients(x, y)
        model.optimizer.apply_gradients(zip(grads, model.trainable_weights, strict=True))
        model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        model.compute_metrics(x, y, logits, *rest)


def epoch(model, batches):
    return _epoch(model, batches, lambda per_row, y: per_row)


def same_epoch(model, batches):
    return _epoch(model, batches, lambda per_row, y: per_row * tf.gather(tf.constant(CLASS_WEIGHT), y))
