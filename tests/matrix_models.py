"""The layers and models of the bits matrix; `matrix_cases.CASES` says what each of them covers.

Models are as small as they can be while their feature is awake, since tracing is what tests pay for. Where a
layer can be left out, it is made after those with initial weights: each layer draws its seed from Python's
`random` when it is made, so that the initial weights of a model with the layer and without it are the same.
"""

from __future__ import annotations

from typing import Any

from matrix_parts import CLASSES

from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import layers, ops, regularizers  # noqa: E402

# --- Models of digits ------------------------------------------------------------------------------------


def mlp() -> keras.Model:
    hidden, top = layers.Dense(32, activation="relu"), layers.Dense(10)
    return keras.Sequential([keras.Input((14, 14)), layers.Flatten(), hidden, top])


def dropout(rate: float = 0.5) -> keras.Model:
    hidden, top = layers.Dense(32, activation="relu"), layers.Dense(10)
    return keras.Sequential(
        [keras.Input((14, 14)), layers.Flatten(), hidden, layers.Dropout(rate), top],
    )


def convolution(momentum: float = 0.99) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((14, 14)),
            layers.Reshape((14, 14, 1)),
            layers.Conv2D(6, 3, use_bias=False),
            layers.BatchNormalization(momentum=momentum),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def lstm() -> keras.Model:
    return keras.Sequential([keras.Input((14, 14)), layers.LSTM(12), layers.Dense(10)])


def augmented(flips: bool = True, moves: bool = True, by: float = 0.1, turn: float = 0.1) -> keras.Model:
    top = layers.Dense(10)
    changes: list[Any] = [layers.RandomFlip("horizontal")] if flips else []
    if moves:
        changes += [layers.RandomTranslation(by, by), layers.RandomRotation(turn)]
    return keras.Sequential(
        [keras.Input((14, 14)), layers.Reshape((14, 14, 1)), *changes, layers.Flatten(), top]
    )


class Subclassed(keras.Model):
    """Layers made in the constructor, and weights only when the first batch is seen."""

    def __init__(self, penalty: float = 0.01) -> None:
        super().__init__()
        self.flat = layers.Flatten()
        self.hidden = layers.Dense(24, kernel_regularizer=regularizers.L2(penalty))
        self.top = layers.Dense(10)

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.top(ops.relu(self.hidden(self.flat(inputs))))


class OwnStep(Subclassed):
    """Doubles its gradients, which no other step does."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred, None, training=True)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply([g * 2 for g in gradients], self.trainable_variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=tf.shape(x)[0])
            else:
                metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}


def own_step() -> keras.Model:
    return OwnStep()


# --- Models of the table ---------------------------------------------------------------------------------


def dense(*between: layers.Layer, units: int = CLASSES, model: Any = keras.Model, **hidden: Any) -> Any:
    """A hidden layer with options, layers between, and outputs; `model` may be a subclass."""
    inputs = keras.Input((8,))
    x = layers.Dense(6, activation="relu", **hidden)(inputs)
    top = layers.Dense(units)
    for layer in between:
        x = layer(x)
    return model(inputs, top(x))


class Penalty(layers.Layer):
    """Adds a loss of its own."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def call(self, inputs: Any) -> Any:
        self.add_loss(self.factor * ops.mean(ops.square(inputs)))
        return inputs


def regularized(
    kernel: float = 0.02, bias: float = 0.02, activity: float = 0.01, penalty: float = 0.1
) -> keras.Model:
    return dense(
        Penalty(penalty),
        kernel_regularizer=regularizers.L2(kernel),
        bias_regularizer=regularizers.L1(bias),
        activity_regularizer=regularizers.L2(activity),
    )


def constrained(kernel: bool = True, bias: bool = True) -> keras.Model:
    return dense(
        kernel_constraint=keras.constraints.MaxNorm(0.5) if kernel else None,
        bias_constraint=keras.constraints.NonNeg() if bias else None,
    )


class Unseeded(layers.Layer):
    """Draws from Keras's own stream, which belongs to the process and not to the layer."""

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        return inputs + keras.random.normal(ops.shape(inputs), stddev=self.deviation)


def unseeded(deviation: float = 0.2) -> keras.Model:
    return dense(Unseeded(deviation))


def noisy(first: float = 0.2, second: float = 0.3, channels: float = 0.25, noise: float = 0.2) -> keras.Model:
    """Four streams, each with a position of its own."""
    hidden, top = layers.Dense(6, activation="relu"), layers.Dense(CLASSES)
    return keras.Sequential(
        [
            keras.Input((8,)),
            layers.GaussianNoise(noise),
            layers.Reshape((2, 4)),
            layers.SpatialDropout1D(channels),
            layers.Flatten(),
            layers.Dropout(first),
            hidden,
            layers.Dropout(second),
            top,
        ]
    )


def frozen(hidden: bool = True, norm: bool = True) -> keras.Model:
    """A frozen BatchNormalization also stops to follow the batches."""
    model = dense(layers.BatchNormalization(momentum=0.5))
    model.layers[1].trainable, model.layers[2].trainable = not hidden, not norm
    return model


class Meter(layers.Layer):
    """Measures what passes through it."""

    def __init__(self) -> None:
        super().__init__()
        self.level = keras.metrics.Mean(name="level")

    def call(self, inputs: Any) -> Any:
        self.level.update_state(ops.mean(inputs))
        return inputs


def measured() -> keras.Model:
    return dense(Meter())


def unbuilt() -> keras.Model:
    return keras.Sequential([layers.Dense(6, activation="relu"), layers.Dense(CLASSES)])


class Nested(keras.Model):
    """A model in a model, a weight that gets no gradient, and a `call` that knows no `training`."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = dense(layers.BatchNormalization(), layers.Dropout(0.2), units=6)
        self.top = layers.Dense(CLASSES)
        self.idle = self.add_weight(shape=(2,), name="idle")

    def call(self, inputs: Any) -> Any:
        return self.top(self.inner(inputs))


def nested() -> keras.Model:
    return Nested()


def autoencoder() -> keras.Model:
    """Trained by what a layer adds, without labels or a loss."""
    inputs = keras.Input((8,))
    outputs = layers.Dense(8)(layers.Dense(3, activation="tanh")(inputs))
    return keras.Model(inputs, Penalty(1.0)(layers.Subtract()([inputs, outputs])))


# --- Models that bring methods of their own --------------------------------------------------------------


class OwnTestStep(keras.Model):
    """Evaluates with another name and another number than it trains with."""

    def test_step(self, data: Any) -> Any:
        x, _ = data
        return {**super().test_step(data), "surest": ops.max(self(x, training=False))}


class OwnLoss(keras.Model):
    """A loss of its own on top of Keras's, in training only."""

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        loss = super().compute_loss(x, y, y_pred, sample_weight, training=training)
        return loss + 0.1 * ops.mean(ops.abs(y_pred)) if training else loss


class OwnLossAsItWas(keras.Model):
    """The same as it was written before Keras 3.3, without `training`."""

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None
    ) -> Any:
        return super().compute_loss(x, y, y_pred, sample_weight) + 0.1 * ops.mean(ops.abs(y_pred))


class OwnResults(keras.Model):
    """Reports one number more than its metrics do, that of the last batch."""

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        results = super().compute_metrics(x, y, y_pred, sample_weight)
        return {**results, "spread": ops.max(y_pred) - ops.min(y_pred)}


class OwnMetrics(keras.Model):
    """Keras's example: a loss and a metric of its own, and `metrics` that lists nothing else."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.distance = keras.metrics.MeanAbsoluteError(name="distance")

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        loss = ops.mean(ops.square(y_pred - y)) + ops.sum(self.losses)
        self.loss_tracker.update_state(loss)
        self.distance.update_state(y, y_pred)
        return loss

    @property
    def metrics(self) -> list[Any]:
        return [self.loss_tracker, self.distance]


# --- Sequences, and several inputs and outputs -----------------------------------------------------------


def masked(kind: str, mask_zero: bool = True, temporal: bool = False) -> keras.Model:
    recurrent = {"lstm": layers.LSTM, "gru": layers.GRU}[kind]
    return keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            layers.Embedding(9, 5, mask_zero=mask_zero),
            recurrent(4, return_sequences=temporal),
            layers.Dense(CLASSES),
        ]
    )


def stateful(keeps: bool = True) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input(batch_shape=(32, 8)),
            layers.Reshape((4, 2)),
            layers.GRU(4, stateful=keeps),
            layers.Dense(CLASSES),
        ]
    )


def several_outputs(form: str) -> keras.Model:
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    x = layers.Dense(6, activation="relu")(layers.Concatenate()([left, right]))
    kind, size = layers.Dense(CLASSES, name="kind")(x), layers.Dense(2, name="size")(x)
    if form == "dicts":
        return keras.Model({"left": left, "right": right}, {"kind": kind, "size": size})
    holder = tuple if form == "tuples" else list
    return keras.Model(holder([left, right]), holder([kind, size]))
