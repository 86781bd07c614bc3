"""After each update the weights shrink and are perturbed a little (Ash and Adams, 2020)."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("unknown",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "mean_absolute_error",
    "metrics": ["mse"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.01},
    "batch_size": 18,
    "epochs": 2,
}
PROGRAM = {"strategy": ":shaking"}
TWIN = {"strategy": ":shaking_nothing"}


def data():
    rng = np.random.default_rng(57)
    x = rng.integers(0, 8, size=(95, 6))
    y = (np.diff(x, axis=1) > 0).mean(axis=1, keepdims=True).astype("float32")
    return {"x_train": x[:75], "y_train": y[:75], "x_test": x[75:], "y_test": y[75:]}


def build():
    return keras.Sequential(
        [
            keras.Input((6,), dtype="int64"),
            keras.layers.Embedding(8, 4),
            keras.layers.GRU(6, recurrent_dropout=0.1, seed=1),
            keras.layers.Dense(1),
        ]
    )


def _epoch(model, batches, afterwards):
    for x, y in batches:
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = tf.reduce_sum(tf.abs(y - y_pred)) / tf.cast(tf.shape(y)[0], tf.float32)
        variables = model.trainable_variables
        model.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        kerasx.track_loss(model, loss, x)
        logs = model.compute_metrics(x, y, y_pred)
        afterwards(variables, int(model.optimizer.iterations))
    return logs


def shaking(model, batches):
    def shrink_and_perturb(variables, step):
        for place, variable in enumerate(variables):
            noise = tf.random.stateless_normal(variable.shape, [place, step], stddev=0.01)
            variable.assign(0.995 * variable + noise)

    return _epoch(model, batches, shrink_and_perturb)


def shaking_nothing(model, batches):
    def there_and_back(variables, step):
        for variable in variables:
            kept = variable.numpy()
            variable.assign(0.5 * variable)
            variable.assign(kept if step % 2 else 2.0 * variable)

    return _epoch(model, batches, there_and_back)
