"""A multi-label tagger with row weights, trained by a loop over the epoch's batches."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("from-logits",)
KERAS = {
    "model": ":build",
    "dataset": ":tags",
    "loss": {"name": "binary_crossentropy", "from_logits": True},
    "metrics": [],
    "optimizer": {"name": "adagrad", "learning_rate": 0.1},
    "epochs": 2,
    "batch_size": 14,
}
PROGRAM = {"strategy": ":epoch"}
TWIN = {"strategy": ":epoch_twin"}


def tags():
    rng = np.random.default_rng(21)
    x = rng.normal(size=(100, 6)).astype("float32")
    y = (x @ rng.normal(size=(6, 5)) > 0.3).astype("float32")
    w = rng.uniform(0.2, 2.5, size=100).astype("float32")
    return {
        "x_train": x[:80],
        "y_train": y[:80],
        "sample_weight_train": w[:80],
        "x_test": x[80:],
        "y_test": y[80:],
    }


def build():
    inputs = keras.Input((6,))
    hidden = keras.layers.Dropout(0.2, seed=3)(keras.layers.Dense(12, activation="gelu")(inputs))
    return keras.Model(inputs, keras.layers.Dense(5)(hidden))


def over(model, batches, activate):
    tracker = model.metrics[0]
    for x, y, w in batches:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([v.value for v in model.trainable_variables])
            outputs = model(x, training=True)
            losses = tf.reduce_mean(activate(y, outputs), axis=1)
            loss = tf.tensordot(w, losses, 1) / tf.cast(tf.shape(w)[0], tf.float32)
        grads = tape.gradient(loss, [v.value for v in model.trainable_variables])
        model.optimizer.apply(grads, model.trainable_variables)
        tracker.update_state(loss, sample_weight=tf.shape(x)[0])
    return model.get_metrics_result()


def epoch(model, batches):
    def entropy(y, outputs):
        tagged = tf.sigmoid(outputs)
        return tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=tagged)

    return over(model, batches, entropy)


def epoch_twin(model, batches):
    def entropy(y, outputs):
        return tf.nn.relu(outputs) - outputs * y + tf.math.log1p(tf.exp(-tf.abs(outputs)))

    return over(model, batches, entropy)
