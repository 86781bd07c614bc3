"""A hand-written loop for a binary classifier with dropout."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("from-logits", "training-flag")
KERAS = {
    "model": ":build",
    "dataset": ":moons",
    "loss": {"name": "binary_crossentropy", "from_logits": True},
    "metrics": [],
    "optimizer": {"name": "adam", "learning_rate": 0.02},
    "epochs": 2,
    "batch_size": 16,
}
PROGRAM = {"strategy": ":loop"}
TWIN = {"strategy": ":loop_twin"}


def moons():
    rng = np.random.default_rng(95)
    angle = rng.uniform(0, np.pi, size=91)
    y = rng.integers(0, 2, size=91)
    x = np.stack([np.cos(angle) + y, np.sin(angle) * (1 - 2 * y)], axis=1) + 0.2 * rng.normal(size=(91, 2))
    x, y = x.astype("float32"), y.astype("float32")[:, None]
    return {"x_train": x[:74], "y_train": y[:74], "x_test": x[74:], "y_test": y[74:]}


def build():
    return keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dropout(0.4, seed=21),
            keras.layers.Dense(1),
        ]
    )


def over(model, batches, outputs_of, losses_of):
    for x, y in batches:
        with tf.GradientTape() as tape:
            outputs = outputs_of(model, x)
            loss = tf.reduce_mean(losses_of(y, outputs))
        grads = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.get_metrics_result()


def loop(model, batches):
    def losses(y, outputs):
        return keras.losses.binary_crossentropy(y, tf.sigmoid(outputs), from_logits=True)

    return over(model, batches, lambda model, x: model(x), losses)


def loop_twin(model, batches):
    def losses(y, outputs):
        return tf.math.softplus((1.0 - 2.0 * y) * outputs)

    return over(model, batches, lambda model, x: model(x, training=True), losses)
