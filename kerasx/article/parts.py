"""What the article's author wrote, mistakes included: named by reference from `rows`.

The losses take integer labels `[batch]` and outputs `[batch, 10]`, and divide by the batch size as a
constant, as the article does.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kerasx.builtins.models import mlp
from kerasx.data.signature import Signature
from kerasx.registry import Registry
from kerasx.training.steps import Logs, track_loss

BATCH_SIZE = 32
SHUFFLE_BUFFER = 1000


def mnist() -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """MNIST as the article's pipelines: shuffled in a buffer to train on, in order to validate on."""
    registry = Registry()
    arrays = registry.load(registry.get("dataset", "mnist"))()
    train = tf.data.Dataset.from_tensor_slices((arrays["x_train"], arrays["y_train"]))
    test = tf.data.Dataset.from_tensor_slices((arrays["x_test"], arrays["y_test"]))
    return train.shuffle(SHUFFLE_BUFFER).batch(BATCH_SIZE), test.batch(BATCH_SIZE)


def sum_over_batch_size(y_true: Any, y_pred: Any) -> Any:
    """The squared error of a batch, summed and divided by 32, however many rows there are: a scalar."""
    return tf.reduce_sum(tf.square(_one_hot(y_true) - y_pred)) / BATCH_SIZE


def mean_of_row_mse(y_true: Any, y_pred: Any) -> Any:
    """The mean over the rows of Keras's mean squared error, which averages over the ten outputs."""
    return tf.reduce_mean(keras.losses.mean_squared_error(_one_hot(y_true), y_pred))


def exact_match() -> keras.metrics.Metric:
    """Keras's `Accuracy`, which counts predicted class numbers that equal the labels."""
    return keras.metrics.Accuracy(name="accuracy")


def keras_accuracy_model(signature: Signature) -> keras.Model:
    """The network, compiled with the string 'accuracy', and beside it the meter that fits."""
    model = mlp(signature, outputs=10)
    model.compile(
        keras.optimizers.SGD(0.01),
        sum_over_batch_size,
        metrics=["accuracy", keras.metrics.Accuracy(name="true_accuracy")],
    )
    return model


def arg_max_step(model: keras.Model, data: Any) -> Logs:
    """A training step that hands its metrics class numbers `[batch]` in the place of outputs."""
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred, training=True)
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(gradients, model.trainable_variables)
    track_loss(model, loss, x)
    return model.compute_metrics(x, y, tf.argmax(y_pred, axis=-1))  # type: ignore[no-any-return]


def arg_max_test_step(model: keras.Model, data: Any) -> Logs:
    """The same for evaluation."""
    x, y = data
    y_pred = model(x, training=False)
    track_loss(model, model.compute_loss(x, y, y_pred, training=False), x)
    return model.compute_metrics(x, y, tf.argmax(y_pred, axis=-1))  # type: ignore[no-any-return]


def raw_loss_test_step(model: keras.Model, data: Any) -> Logs:
    """A test step that returns its batch's loss beside the metrics, without updating the loss's mean."""
    x, y = data
    y_pred = model(x, training=False)
    return {**model.compute_metrics(x, y, y_pred), "loss": sum_over_batch_size(y, y_pred)}


def named_raw_loss_test_step(model: keras.Model, data: Any) -> Logs:
    """The same under a name that Keras does not track."""
    logs = dict(raw_loss_test_step(model, data))
    return {**logs, "raw_loss": logs.pop("loss")}


def _one_hot(labels: Any) -> Any:
    # Keras hands labels over as floats; class numbers are small, so the way back is exact.
    return tf.one_hot(tf.cast(labels, tf.int32), 10)
