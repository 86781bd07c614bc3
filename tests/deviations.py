"""Training steps as practitioners write them, each with one deviation from Keras, and twins with none.

`DEVIATIONS` are planted in a model, data and objectives of `SETTINGS`, where the rest of each function does
what Keras does; `CORRECT` are the same mathematics written differently, by `<setting>/<name>`. A step is
`(model, data)`, a loop over one epoch `(model, batches)`, and a model is built by a function without
arguments.

The model that they are given is built. Where a setting has a precision, it is built and compiled under that
dtype policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import layers, ops  # noqa: E402

ROWS, BATCH_SIZE, FEATURES = 77, 16, 12
STAGES = ("data", "initial-state", "forward", "loss", "gradient", "update", "state", "report")

Logs = dict[str, Any]
Batch = tuple[Any, ...]


@dataclass(frozen=True)
class Setting:
    """What a deviation is planted in; what holds state is made anew at each call.

    Attributes:
        build: Makes the model, not compiled, with the same initial weights and seeds each time.
        rows: Makes `(x, y)` or `(x, y, sample_weight)`.
        loss: Makes what `compile` takes as the loss.
        metrics: Makes what it takes as metrics.
        optimizer: Makes the optimizer; `adam` does in its place.
        precision: A dtype policy.
        extras: What else `compile` is given.
    """

    build: Callable[[], keras.Model]
    rows: Callable[[], tuple[Any, ...]]
    loss: Callable[[], Any]
    metrics: Callable[[], Any]
    optimizer: Callable[[], keras.optimizers.Optimizer]
    precision: str | None = None
    extras: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Deviation:
    """One deviation from Keras.

    Attributes:
        name: The cause's id, with a suffix where a cause is planted more than once.
        cause: The cause's id.
        stage: The first stage at which it is to be seen.
        step: The first step that wakes it, of batches 0, 1, 2 and the short last one as step 3. None where it
            is seen only in what an epoch reports.
        affects: 'training' or 'report'.
        setting: Key into `SETTINGS`.
        plant: The step, the loop, or the function that builds the model.
        kind: 'step', 'test_step', 'loop' or 'model'.
    """

    name: str
    cause: str
    stage: str
    step: int | None
    affects: str
    setting: str
    plant: Callable[..., Any]
    kind: str


DEVIATIONS: dict[str, Deviation] = {}
CORRECT: dict[str, Callable[[keras.Model, Batch], Logs]] = {}

Plant = Callable[..., Any]


def deviates(
    cause: str,
    suffix: str = "",
    *,
    stage: str,
    setting: str,
    step: int | None = 0,
    affects: str = "training",
    kind: str = "step",
) -> Callable[[Plant], Plant]:
    name = f"{cause}-{suffix}" if suffix else cause

    def register(plant: Plant) -> Plant:
        assert name not in DEVIATIONS, name
        DEVIATIONS[name] = Deviation(name, cause, stage, step, affects, setting, plant, kind)
        return plant

    return register


def correct(name: str) -> Callable[[Plant], Plant]:
    def register(plant: Plant) -> Plant:
        assert name not in CORRECT, name
        CORRECT[name] = plant
        return plant

    return register


# --- Settings ---------------------------------------------------------------------------------------------


def adam() -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(0.01)


def dense(units: int, seed: int, **options: Any) -> keras.layers.Layer:
    return layers.Dense(units, kernel_initializer=keras.initializers.GlorotUniform(seed=seed), **options)


def features(seed: int) -> tuple[np.random.Generator, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator, generator.normal(size=(ROWS, FEATURES)).astype("float32")


def classes_model(kind: type[keras.Model] = keras.Model, seed: int = 1) -> keras.Model:
    inputs = keras.Input((FEATURES,))
    hidden = dense(16, seed, activation="relu", name="hidden")(inputs)
    return kind(inputs, dense(10, seed + 100, name="scores")(hidden))


def classes_rows() -> tuple[Any, ...]:
    generator, x = features(1)
    labels = np.argmax(x @ generator.normal(size=(FEATURES, 10)), axis=-1)
    return x, np.eye(10, dtype="float32")[labels]


def regularized_model(kind: type[keras.Model] = keras.Model) -> keras.Model:
    inputs = keras.Input((FEATURES,))
    penalty = keras.regularizers.L2(0.01)
    hidden = dense(16, 2, activation="relu", kernel_regularizer=penalty, name="hidden")(inputs)
    hidden = layers.BatchNormalization(momentum=0.9, name="normalization")(hidden)
    hidden = layers.Dropout(0.4, seed=2, name="dropout")(hidden)
    return kind(inputs, dense(5, 102, name="logits")(hidden))


def regularized_rows() -> tuple[Any, ...]:
    generator, x = features(2)
    return x, np.argmax(x @ generator.normal(size=(FEATURES, 5)), axis=-1).astype("int32")


def sequences_model() -> keras.Model:
    inputs = keras.Input((6,), dtype="int32")
    uniform = keras.initializers.RandomUniform(-0.5, 0.5, seed=3)
    hidden = layers.Embedding(20, 8, mask_zero=True, embeddings_initializer=uniform, name="words")(inputs)
    hidden = layers.SimpleRNN(
        8,
        return_sequences=True,
        kernel_initializer=keras.initializers.GlorotUniform(seed=103),
        recurrent_initializer=keras.initializers.Orthogonal(seed=203),
        seed=403,
        name="recurrent",
    )(hidden)
    return keras.Model(inputs, dense(4, 303, name="tags")(hidden))


def sequences_rows() -> tuple[Any, ...]:
    generator = np.random.default_rng(3)
    words = generator.integers(1, 20, size=(ROWS, 6))
    padding = np.arange(6) >= generator.integers(2, 7, size=(ROWS, 1))
    return np.where(padding, 0, words).astype("int32"), np.where(padding, 0, words % 4).astype("int32")


def two_heads_model() -> keras.Model:
    inputs = keras.Input((FEATURES,))
    hidden = dense(16, 4, activation="tanh", name="hidden")(inputs)
    return keras.Model(
        inputs, {"value": dense(3, 104, name="value")(hidden), "kind": dense(4, 204, name="kind")(hidden)}
    )


def two_heads_rows() -> tuple[Any, ...]:
    generator, x = features(4)
    kinds = np.argmax(x @ generator.normal(size=(FEATURES, 4)), axis=-1).astype("int32")
    return x, {"value": generator.normal(size=(ROWS, 3)).astype("float32"), "kind": kinds}


def weighted_model(kind: type[keras.Model] = keras.Model) -> keras.Model:
    inputs = keras.Input((FEATURES,))
    hidden = dense(16, 5, activation="relu", name="hidden")(inputs)
    return kind(inputs, dense(1, 105, name="price")(hidden))


def weighted_rows() -> tuple[Any, ...]:
    generator, x = features(5)
    y = x[:, :1] + 2.0 * generator.normal(size=(ROWS, 1))
    return x, y.astype("float32"), generator.uniform(0.2, 3.0, size=ROWS).astype("float32")


def half_model() -> keras.Model:
    inputs = keras.Input((FEATURES,))
    hidden = dense(16, 6, activation="relu", name="hidden")(inputs)
    return keras.Model(inputs, dense(32, 106, name="spectrum")(hidden))


def half_rows() -> tuple[Any, ...]:
    # So large that float16 cannot hold the sum of a batch's squares, and can hold the scaled gradients.
    generator, x = features(6)
    return x, (14.0 * generator.normal(size=(ROWS, 32))).astype("float32")


def clipped_model() -> keras.Model:
    inputs = keras.Input((FEATURES,))
    hidden = dense(16, 7, name="hidden")(inputs)
    hidden = layers.BatchNormalization(momentum=0.9, name="normalization")(hidden)
    return keras.Model(inputs, dense(3, 107, name="values")(layers.Activation("relu")(hidden)))


def clipped_rows() -> tuple[Any, ...]:
    generator, x = features(7)
    return 3.0 * x + 1.0, generator.normal(size=(ROWS, 3)).astype("float32")


def binary_model() -> keras.Model:
    inputs = keras.Input((FEATURES,))
    hidden = dense(16, 8, activation="relu", name="hidden")(inputs)
    return keras.Model(inputs, dense(1, 108, activation="sigmoid", name="probability")(hidden))


def binary_rows() -> tuple[Any, ...]:
    generator, x = features(8)
    return x, (x[:, :1] + 0.5 * generator.normal(size=(ROWS, 1)) > 0.3).astype("float32")


def decayed_sgd() -> keras.optimizers.Optimizer:
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=4, decay_rate=0.8)
    return keras.optimizers.SGD(rate, momentum=0.9, weight_decay=0.004)


SETTINGS: dict[str, Setting] = {
    "classes": Setting(
        classes_model,
        classes_rows,
        loss=lambda: "mse",
        metrics=lambda: [keras.metrics.CategoricalAccuracy(name="accuracy")],
        optimizer=lambda: keras.optimizers.SGD(0.1),
    ),
    "regularized": Setting(
        regularized_model,
        regularized_rows,
        loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=lambda: ["accuracy"],
        optimizer=lambda: keras.optimizers.SGD(0.05, momentum=0.9),
    ),
    "sequences": Setting(
        sequences_model,
        sequences_rows,
        loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=lambda: ["accuracy"],
        optimizer=lambda: keras.optimizers.SGD(0.2),
    ),
    "two_heads": Setting(
        two_heads_model,
        two_heads_rows,
        loss=lambda: {
            "value": keras.losses.MeanSquaredError(),
            "kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        },
        metrics=lambda: {"kind": ["accuracy"]},
        optimizer=lambda: keras.optimizers.SGD(0.1),
        extras={"loss_weights": {"value": 1.0, "kind": 0.3}},
    ),
    "weighted": Setting(
        weighted_model,
        weighted_rows,
        loss=lambda: keras.losses.MeanSquaredError(),
        metrics=lambda: ["mae"],
        optimizer=lambda: keras.optimizers.SGD(0.02, momentum=0.9),
    ),
    "half": Setting(
        half_model,
        half_rows,
        loss=lambda: keras.losses.MeanSquaredError(),
        metrics=lambda: ["mae"],
        optimizer=lambda: keras.optimizers.SGD(0.05),
        precision="mixed_float16",
    ),
    "clipped": Setting(
        clipped_model,
        clipped_rows,
        loss=lambda: keras.losses.MeanSquaredError(),
        metrics=lambda: ["mae"],
        optimizer=lambda: keras.optimizers.SGD(0.1, clipnorm=0.1),
    ),
    "binary": Setting(
        binary_model,
        binary_rows,
        loss=lambda: keras.losses.BinaryCrossentropy(),
        metrics=lambda: ["accuracy"],
        optimizer=decayed_sgd,
    ),
}


# --- What the functions below share -----------------------------------------------------------------------


def update_weights(model: keras.Model, tape: tf.GradientTape, loss: Any) -> None:
    variables = model.trainable_variables
    model.optimizer.apply(tape.gradient(loss, variables), variables)


def train_on(model: keras.Model, data: Batch) -> Logs:
    """A step that does what Keras does, for the loops."""
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


def output_trackers(model: keras.Model, data: Batch, y_pred: Any) -> dict[str, Any]:
    """The means that Keras keeps of each output's loss, and makes when it first computes a loss."""
    x, y = data
    if "value_loss" not in [metric.name for metric in model.metrics]:
        model.compute_loss(x, y, y_pred)
        model.reset_metrics()
    return {metric.name: metric for metric in model.metrics}


def track_outputs(model: keras.Model, data: Batch, y_pred: Any, losses: dict[str, Any]) -> None:
    """Add each output's loss, not multiplied by its weight, to the mean that Keras has of it."""
    trackers = output_trackers(model, data, y_pred)
    for name, loss in losses.items():
        trackers[f"{name}_loss"].update_state(loss, sample_weight=tf.shape(data[0])[0])


def head_losses(y: dict[str, Any], y_pred: dict[str, Any]) -> dict[str, Any]:
    kinds = keras.losses.sparse_categorical_crossentropy(y["kind"], y_pred["kind"], from_logits=True)
    return {
        "value": tf.reduce_mean(tf.square(y_pred["value"] - y["value"])),
        "kind": tf.reduce_mean(kinds),
    }


def row_crossentropy(y: Any, logits: Any) -> Any:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)


def dropout_generators(model: keras.Model) -> list[Any]:
    return [layer.seed_generator for layer in model.layers if isinstance(layer, layers.Dropout)]


# --- Data -------------------------------------------------------------------------------------------------


@deviates("batch-order", "reversed-batches", stage="data", setting="classes", kind="loop")
def backwards(model: keras.Model, batches: Iterable[Batch]) -> Logs:
    model.reset_metrics()
    logs: Logs = {}
    for data in reversed(list(batches)):
        logs = train_on(model, data)
    return logs


@deviates("batch-order", "sorted-rows", stage="data", setting="regularized", kind="loop")
def sorted_by_label(model: keras.Model, batches: Iterable[Batch]) -> Logs:
    model.reset_metrics()
    logs: Logs = {}
    for x, y in batches:
        order = tf.argsort(y, stable=True)
        logs = train_on(model, (tf.gather(x, order), tf.gather(y, order)))
    return logs


@deviates("batch-size", "dropped-remainder", stage="data", setting="classes", step=3, kind="loop")
def full_batches_only(model: keras.Model, batches: Iterable[Batch]) -> Logs:
    model.reset_metrics()
    logs: Logs = {}
    for x, y in batches:
        if len(x) < BATCH_SIZE:
            continue
        logs = train_on(model, (x, y))
    return logs


@deviates("batch-size", "halves", stage="data", setting="binary", kind="loop")
def in_halves(model: keras.Model, batches: Iterable[Batch]) -> Logs:
    model.reset_metrics()
    logs: Logs = {}
    for x, y in batches:
        middle = len(x) // 2
        train_on(model, (x[:middle], y[:middle]))
        logs = train_on(model, (x[middle:], y[middle:]))
    return logs


@deviates("label-format", stage="data", setting="classes", kind="loop")
def class_numbers(model: keras.Model, batches: Iterable[Batch]) -> Logs:
    # A column of class numbers fits ten outputs by broadcasting.
    model.reset_metrics()
    logs: Logs = {}
    for x, y in batches:
        labels = tf.cast(tf.argmax(y, axis=-1), tf.float32)
        logs = train_on(model, (x, labels[:, tf.newaxis]))
    return logs


# --- Initial state ----------------------------------------------------------------------------------------


@deviates("initial-weights", stage="initial-state", setting="classes", kind="model")
def other_seed() -> keras.Model:
    return classes_model(seed=11)


@deviates("trainable-set", "last-layer", stage="initial-state", setting="classes")
def train_last_layer(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    top = model.layers[-1].trainable_variables
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    model.optimizer.apply(tape.gradient(loss, top), top)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("trainable-set", "without-biases", stage="initial-state", setting="two_heads")
def train_kernels(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    kernels = [variable for variable in model.trainable_variables if "bias" not in variable.name]
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x=x, y=y, y_pred=y_pred)
    gradients = tape.gradient(loss, kernels)
    model.optimizer.apply_gradients(zip(gradients, kernels, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


@deviates("trainable-set", "frozen-layer", stage="initial-state", setting="classes", kind="model")
def frozen_hidden_layer() -> keras.Model:
    model = classes_model()
    model.get_layer("hidden").trainable = False
    return model


# --- Forward ----------------------------------------------------------------------------------------------


@deviates("training-flag", stage="forward", setting="regularized")
def no_training_flag(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        logits = model(x)
        loss = model.compute_loss(x, y, logits)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, logits)


@deviates("training-flag", "frozen-normalization", stage="forward", setting="clipped")
def inference_mode(model: keras.Model, data: Batch) -> Logs:
    inputs, targets = data
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        for variable in model.trainable_variables:
            tape.watch(variable.value)
        outputs = model(inputs, training=False)
        loss = ops.mean(ops.square(outputs - targets))
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    model.optimizer.apply(gradients, model.trainable_variables)
    kerasx.track_loss(model, loss, inputs)
    return model.compute_metrics(inputs, targets, outputs)


class CallWithoutTraining(keras.Model):
    def call(self, inputs: Any) -> Any:
        return super().call(inputs)


@deviates("training-flag", "call-without-argument", stage="forward", setting="regularized", kind="model")
def model_without_training_argument() -> keras.Model:
    return regularized_model(CallWithoutTraining)


# Not in the report alone: an evaluation that moves statistics changes the training that goes on after it.
@deviates("training-flag", "evaluation", stage="forward", setting="regularized", kind="test_step")
def evaluate_in_training_mode(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    y_pred = model(x, training=True)
    kerasx.track_loss(model, model.compute_loss(x, y, y_pred, training=False), x)
    return model.compute_metrics(x, y, y_pred)


@deviates("extra-forward", "metrics", stage="forward", setting="regularized")
def second_pass_for_metrics(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x, training=True))
    y_pred = model(x, training=True)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("extra-forward", "probe", stage="forward", setting="regularized")
def first_pass_for_the_shape(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    classes = model(x, training=True).shape[-1]
    y = tf.clip_by_value(y, 0, classes - 1)
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("rng-stream", "shared-generator", stage="forward", setting="regularized")
def draws_from_the_dropout_generator(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    # Augmentation by a strength of 0: the draw has no effect but for the generator's state.
    noise = keras.random.normal(x.shape, seed=dropout_generators(model)[0])
    with tf.GradientTape() as tape:
        y_pred = model(x + 0.0 * noise, training=True)
        loss = model.compute_loss(x, y, y_pred)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("rng-stream", "reseeded", stage="forward", setting="regularized")
def reseeds_each_step(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    for generator in dropout_generators(model):
        generator.state.assign([1337, 0])
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


# --- Loss -------------------------------------------------------------------------------------------------


@deviates("loss-reduction", "outputs", stage="loss", setting="classes")
def sum_over_outputs(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = tf.reduce_mean(tf.reduce_sum(tf.square(y - y_pred), axis=-1))
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("loss-reduction", "rows", stage="loss", setting="classes")
def sum_over_rows(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    criterion = keras.losses.MeanSquaredError(reduction="sum")
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = criterion(y, y_pred)
    gradients = tape.gradient(loss, model.trainable_weights)
    model.optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("loss-batch-divisor", stage="loss", setting="classes", step=3)
def divides_by_a_constant(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = tf.reduce_sum(keras.losses.mean_squared_error(y, y_pred)) / BATCH_SIZE
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("loss-batch-divisor", "average-loss", stage="loss", setting="regularized", step=3)
def averages_by_the_global_batch_size(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        data_loss = tf.nn.compute_average_loss(row_crossentropy(y, logits), global_batch_size=BATCH_SIZE)
        loss = data_loss + tf.add_n(model.losses)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, logits)


@deviates(
    "loss-batch-divisor",
    "evaluation",
    stage="loss",
    setting="classes",
    step=3,
    affects="report",
    kind="test_step",
)
def evaluation_divides_by_a_constant(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    y_pred = model(x, training=False)
    row_losses = ops.mean(ops.square(y - y_pred), axis=-1)
    kerasx.track_loss(model, ops.sum(row_losses) / BATCH_SIZE, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("loss-extra", "left-out", stage="loss", setting="regularized")
def forgets_the_penalty(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = tf.reduce_mean(row_crossentropy(y, logits))
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, logits)


@deviates("loss-extra", "twice", stage="loss", setting="regularized")
def adds_the_penalty_again(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
        loss += sum(model.losses)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("loss-extra", "evaluation", stage="loss", setting="regularized", affects="report", kind="test_step")
def evaluation_without_penalty(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    logits = model(x, training=False)
    criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    kerasx.track_loss(model, criterion(y, logits), x)
    return model.compute_metrics(x, y, logits)


@deviates("loss-weights", stage="loss", setting="two_heads")
def ignores_loss_weights(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        losses = head_losses(y, y_pred)
        loss = tf.add_n(list(losses.values()))
    update_weights(model, tape, loss)
    track_outputs(model, data, y_pred, losses)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("loss-weights", "one-output", stage="loss", setting="two_heads")
def switches_a_head_off(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    importance = {"value": 1.0, "kind": 0.0}
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        losses = head_losses(y, y_pred)
        loss = sum(importance[name] * value for name, value in losses.items())
    update_weights(model, tape, loss)
    track_outputs(model, data, y_pred, losses)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("sample-weight", stage="loss", setting="weighted")
def drops_sample_weights(model: keras.Model, data: Batch) -> Logs:
    x, y = data[:2]
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


class WithoutSampleWeights(keras.Model):
    def train_step(self, data: Batch) -> Logs:
        x, y, *_ = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.metrics[0].update_state(loss, sample_weight=ops.shape(x)[0])
        return self.compute_metrics(x, y, y_pred)


@deviates("sample-weight", "own-train-step", stage="loss", setting="weighted", kind="model")
def model_without_sample_weights() -> keras.Model:
    return weighted_model(WithoutSampleWeights)


@deviates("weight-normalization", stage="loss", setting="weighted")
def divides_by_the_sum_of_weights(model: keras.Model, data: Batch) -> Logs:
    x, y, weight = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        row_losses = tf.reduce_mean(tf.math.squared_difference(y_pred, y), axis=-1)
        loss = tf.reduce_sum(row_losses * weight) / tf.reduce_sum(weight)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred, sample_weight=weight)


@deviates("mask", stage="loss", setting="sequences")
def counts_the_padding(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True))
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, logits)


@deviates("mask", "reshaped", stage="loss", setting="sequences")
def flattens_the_steps(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = criterion(tf.reshape(y, [-1]), tf.reshape(logits, [-1, logits.shape[-1]]))
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, logits)


@deviates("shape-broadcast", stage="loss", setting="binary")
def squeezed_probabilities(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        p = tf.clip_by_value(tf.squeeze(y_pred, axis=-1), 1e-7, 1.0 - 1e-7)
        loss = -tf.reduce_mean(y * tf.math.log(p) + (1.0 - y) * tf.math.log(1.0 - p))
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("shape-broadcast", "flat-labels", stage="loss", setting="weighted")
def flat_labels(model: keras.Model, data: Batch) -> Logs:
    x, y, weight = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        row_losses = ops.mean(ops.square(y_pred - ops.reshape(y, (-1,))), axis=-1)
        loss = ops.mean(row_losses * weight)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred, weight)


@deviates("from-logits", "sigmoid-twice", stage="loss", setting="binary")
def probabilities_as_logits(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=y_pred))
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("from-logits", "softmax-twice", stage="loss", setting="regularized")
def softmax_before_from_logits(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = criterion(y, tf.nn.softmax(logits)) + tf.add_n(model.losses)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, logits)


@deviates("loss-function", "label-smoothing", stage="loss", setting="regularized")
def smooths_labels(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    criterion = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = criterion(tf.one_hot(y, 5), logits) + tf.add_n(model.losses)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, logits)


@deviates("loss-function", "huber", stage="loss", setting="weighted")
def huber_loss(model: keras.Model, data: Batch) -> Logs:
    x, y, weight = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = keras.losses.Huber(delta=1.0)(y, y_pred, sample_weight=weight)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred, sample_weight=weight)


@deviates("loss-dtype", "overflow", stage="loss", setting="half")
def sums_in_half_precision(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        errors = tf.square(y_pred - tf.cast(y, y_pred.dtype))
        loss = tf.reduce_sum(errors) / tf.cast(tf.size(errors), errors.dtype)
        scaled_loss = model.optimizer.scale_loss(loss)
    update_weights(model, tape, scaled_loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("loss-dtype", "rounded", stage="loss", setting="half")
def loss_function_in_half_precision(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = tf.reduce_mean(keras.losses.mean_squared_error(y, y_pred))
        scaled_loss = model.optimizer.scale_loss(loss)
    update_weights(model, tape, scaled_loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("unknown", "confidence-penalty", stage="loss", setting="classes")
def penalizes_large_outputs(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred) + 0.01 * tf.reduce_mean(tf.math.reduce_std(y_pred, axis=-1))
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


# --- Gradient ---------------------------------------------------------------------------------------------


@deviates("loss-scale", stage="gradient", setting="half")
def unscaled_loss(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("gradient-clip", "global-norm", stage="gradient", setting="classes")
def clips_by_global_norm(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, model.trainable_variables), 0.05)
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("gradient-clip", "value", stage="gradient", setting="clipped")
def clips_by_value(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    gradients = [ops.clip(g, -0.01, 0.01) for g in tape.gradient(loss, model.trainable_variables)]
    model.optimizer.apply(gradients, model.trainable_variables)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("gradient-clip", "before-unscaling", stage="gradient", setting="half")
def clips_scaled_gradients(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
        scaled_loss = model.optimizer.scale_loss(loss)
    gradients = tape.gradient(scaled_loss, model.trainable_variables)
    gradients, _ = tf.clip_by_global_norm(gradients, 1.0)
    model.optimizer.apply(gradients, model.trainable_variables)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


def through_stopped_features(model: keras.Model, x: Any) -> Any:
    """The model's outputs, by its layers, with no way back from the last of them to the others."""
    *body, top = [layer for layer in model.layers if not isinstance(layer, layers.InputLayer)]
    for layer in body:
        x = layer(x, training=True)
    return top(tf.stop_gradient(x))


@deviates("gradient-missing", stage="gradient", setting="binary")
def stops_the_gradient(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = through_stopped_features(model, x)
        loss = model.compute_loss(x, y, y_pred)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("gradient-missing", "filtered", stage="gradient", setting="classes")
def filters_missing_gradients(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([variable.value for variable in model.layers[-1].trainable_variables])
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    gradients = tape.gradient(loss, model.trainable_variables)
    pairs = [(g, v) for g, v in zip(gradients, model.trainable_variables, strict=True) if g is not None]
    model.optimizer.apply_gradients(pairs)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("unknown", "centralized-gradients", stage="gradient", setting="weighted")
def centralizes_gradients(model: keras.Model, data: Batch) -> Logs:
    x, y, weight = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred, weight)
    gradients = [
        g - tf.reduce_mean(g, axis=0, keepdims=True) if len(g.shape) > 1 else g
        for g in tape.gradient(loss, model.trainable_variables)
    ]
    model.optimizer.apply(gradients, model.trainable_variables)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred, weight)


# --- Update -----------------------------------------------------------------------------------------------


@deviates("optimizer-config", "learning-rate", stage="update", setting="classes")
def warms_up(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    steps_done = tf.cast(model.optimizer.iterations, tf.float32)
    model.optimizer.learning_rate.assign(0.02 * tf.minimum(1.0, (steps_done + 1.0) / 6.0))
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("optimizer-config", "weight-decay", stage="update", setting="two_heads")
def decays_weights(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    model.optimizer.weight_decay = 0.05
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


class OwnOptimizer(keras.Model):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.momentum_sgd = keras.optimizers.SGD(0.03, momentum=0.9)

    def train_step(self, data: Batch) -> Logs:
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.momentum_sgd.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        return self.compute_metrics(x, y, y_pred)


@deviates("optimizer-config", "own-optimizer", stage="update", setting="classes", kind="model")
def model_with_own_optimizer() -> keras.Model:
    return classes_model(OwnOptimizer)


@deviates("optimizer-bypassed", stage="update", setting="binary")
def subtracts_gradients(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    rate = model.optimizer.learning_rate
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        variable.assign_sub(rate * gradient)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("optimizer-bypassed", "plain-sgd", stage="update", setting="classes")
def subtracts_as_sgd_does(model: keras.Model, data: Batch) -> Logs:
    # Under SGD the weights come out the same, and the optimizer's count of steps stands still.
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        variable.assign(variable - model.optimizer.learning_rate * gradient)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("multiple-applies", "each-variable", stage="update", setting="binary")
def applies_variable_by_variable(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    gradients = tape.gradient(loss, model.trainable_variables)
    for gradient, variable in zip(gradients, model.trainable_variables, strict=True):
        model.optimizer.apply([gradient], [variable])
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("multiple-applies", "two-groups", stage="update", setting="classes")
def applies_body_and_top(model: keras.Model, data: Batch) -> Logs:
    # Under SGD with a constant rate only the count of steps runs ahead; other rules and schedules use it.
    x, y = data
    body, top = model.get_layer("hidden").trainable_variables, model.get_layer("scores").trainable_variables
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    with tf.GradientTape(persistent=True) as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    body_gradients, top_gradients = tape.gradient(loss, body), tape.gradient(loss, top)
    del tape
    model.optimizer.apply(body_gradients, body)
    model.optimizer.apply(top_gradients, top)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("unknown", "max-norm", stage="update", setting="classes")
def limits_norms_after_the_update(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    update_weights(model, tape, loss)
    for variable in model.trainable_variables:
        variable.assign(tf.clip_by_norm(variable.value, 1.5))
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


# --- State ------------------------------------------------------------------------------------------------


@deviates("state-not-updated", stage="state", setting="clipped")
def drops_the_new_state(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred, _ = model.stateless_call(
            model.trainable_variables, model.non_trainable_variables, x, training=True
        )
        loss = model.compute_loss(x, y, y_pred)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("state-not-updated", "restored", stage="state", setting="clipped")
def puts_statistics_back(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    statistics = [tf.identity(variable.value) for variable in model.non_trainable_weights]
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    update_weights(model, tape, loss)
    for variable, value in zip(model.non_trainable_weights, statistics, strict=True):
        variable.assign(value)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates("extra-forward", "statistics", stage="state", setting="clipped")
def moves_statistics_twice(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x, training=True))
    y_pred = model(x, training=True)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


# --- Report -----------------------------------------------------------------------------------------------


@deviates("metric-label-format", "labels", stage="report", setting="classes", affects="report")
def metrics_of_class_numbers(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, tf.argmax(y, axis=-1), y_pred)


@deviates(
    "metric-label-format", "labels-and-predictions", stage="report", setting="classes", affects="report"
)
def metrics_of_predicted_classes(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, tf.argmax(y, axis=-1), tf.argmax(y_pred, axis=-1))


class BinaryAccuracyOfClasses(keras.Model):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.own_accuracy = keras.metrics.BinaryAccuracy(name="accuracy")

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Logs:
        # Before Keras's own, which return the results of all metrics by name, this one's last.
        self.own_accuracy.update_state(y, y_pred)
        return super().compute_metrics(x, y, y_pred, sample_weight)


@deviates("metric-resolution", stage="report", setting="classes", affects="report", kind="model")
def model_with_another_accuracy() -> keras.Model:
    return classes_model(BinaryAccuracyOfClasses)


class ResetsLossOnly(keras.Model):
    def reset_metrics(self) -> None:
        self.metrics[0].reset_state()


@deviates("metric-not-reset", stage="report", setting="classes", step=None, affects="report", kind="model")
def model_that_resets_its_loss_only() -> keras.Model:
    return classes_model(ResetsLossOnly)


@deviates(
    "metric-not-reset",
    "evaluates-within-the-epoch",
    stage="report",
    setting="classes",
    step=None,
    affects="report",
    kind="loop",
)
def looks_at_a_batch_meanwhile(model: keras.Model, batches: Iterable[Batch]) -> Logs:
    model.reset_metrics()
    logs: Logs = {}
    for number, data in enumerate(batches):
        if number == 2:
            model.test_on_batch(*data)
        logs = train_on(model, data)
    return logs


@deviates("metric-after-update", stage="report", setting="weighted", affects="report")
def metrics_of_the_updated_model(model: keras.Model, data: Batch) -> Logs:
    x, y, weight = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred, weight)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, model(x, training=False), sample_weight=weight)


@deviates("loss-report-last-batch", "extra-key", stage="report", setting="binary", affects="report")
def reports_the_learning_rate(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    rate = tf.identity(model.optimizer.learning_rate)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return {**model.compute_metrics(x, y, y_pred), "learning_rate": rate}


@deviates("loss-report-last-batch", "reset", stage="report", setting="classes", step=1, affects="report")
def starts_its_metrics_anew(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    model.reset_metrics()
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@deviates(
    "loss-report-last-batch",
    "train-on-batch",
    stage="report",
    setting="classes",
    step=None,
    affects="report",
    kind="loop",
)
def trains_on_batches(model: keras.Model, batches: Iterable[Batch]) -> Logs:
    logs: Logs = {}
    for x, y in batches:
        logs = model.train_on_batch(x, y, return_dict=True)
    return logs


@deviates(
    "loss-report-last-batch",
    "evaluation",
    stage="report",
    setting="classes",
    affects="report",
    kind="test_step",
)
def evaluation_with_a_raw_loss(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    y_pred = model(x, training=False)
    loss = model.compute_loss(x, y, y_pred, training=False)
    kerasx.track_loss(model, loss, x)
    return {"raw_loss": loss, **model.compute_metrics(x, y, y_pred)}


@deviates("loss-report-discarded", stage="report", setting="classes", affects="report")
def returns_the_raw_loss(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    update_weights(model, tape, loss)
    return {**model.compute_metrics(x, y, y_pred), "loss": loss}


@deviates(
    "loss-report-discarded",
    "evaluation",
    stage="report",
    setting="sequences",
    affects="report",
    kind="test_step",
)
def evaluation_returns_the_raw_loss(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    y_pred = model(x, training=False)
    logs = dict(model.compute_metrics(x, y, y_pred))
    logs["loss"] = model.compute_loss(x, y, y_pred, training=False)
    return logs


@deviates("loss-report-unweighted", stage="report", setting="regularized", step=3, affects="report")
def means_over_batches(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    update_weights(model, tape, loss)
    model.metrics[0].update_state(loss)
    return model.compute_metrics(x, y, y_pred)


@deviates("loss-report-unweighted", "outputs", stage="report", setting="two_heads", step=3, affects="report")
def means_of_heads_over_batches(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        losses = head_losses(y, y_pred)
        loss = losses["value"] + 0.3 * losses["kind"]
    update_weights(model, tape, loss)
    trackers = output_trackers(model, data, y_pred)
    for name, value in losses.items():
        trackers[f"{name}_loss"].update_state(value)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


class OwnLossMean(keras.Model):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.loss_tracker = keras.metrics.Mean(name="loss")

    def train_step(self, data: Batch) -> Logs:
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.loss_tracker.update_state(loss)
        return {**self.compute_metrics(x, y, y_pred), "loss": self.loss_tracker.result()}


@deviates(
    "loss-report-unweighted",
    "own-tracker",
    stage="report",
    setting="classes",
    step=3,
    affects="report",
    kind="model",
)
def model_with_own_loss_mean() -> keras.Model:
    return classes_model(OwnLossMean)


@deviates("loss-report-shim", stage="report", setting="classes", affects="report")
def reports_the_mean_output(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, tf.reduce_mean(y_pred), x)
    return model.compute_metrics(x, y, y_pred)


# --- Nothing deviates -------------------------------------------------------------------------------------


@correct("classes/persistent-tape")
def persistent_tape(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape(persistent=True) as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    gradients = [tape.gradient(loss, variable) for variable in model.trainable_variables]
    del tape
    model.optimizer.apply(gradients, model.trainable_variables)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@correct("classes/sum-of-squares")
def sum_of_squares(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        squares = ops.sum(ops.square(ops.subtract(y_pred, y)), axis=0)
        loss = ops.sum(squares) / ops.cast(ops.size(y), "float32")
    gradients = tape.gradient(loss, model.trainable_weights)
    model.optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


@correct("regularized/penalty-by-hand")
def penalty_by_hand(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        penalty = 0.01 * tf.reduce_sum(tf.square(model.get_layer("hidden").kernel))
        rows = tf.cast(tf.shape(logits)[0], tf.float32)
        loss = penalty + tf.reduce_sum(row_crossentropy(y, logits)) / rows
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, logits)


@correct("regularized/unused-tape")
def unused_tape(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape, tf.GradientTape() as unused:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    del unused
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@correct("sequences/mask-by-hand")
def mask_by_hand(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        words = tf.cast(tf.not_equal(x, 0), tf.float32)
        loss = tf.reduce_sum(words * row_crossentropy(y, logits)) / tf.reduce_sum(words)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, logits)


@correct("two_heads/weights-by-hand")
def loss_weights_by_hand(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        losses = head_losses(y, y_pred)
        loss = 0.3 * losses["kind"] + losses["value"]
    update_weights(model, tape, loss)
    track_outputs(model, data, y_pred, losses)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@correct("two_heads/tape-per-head")
def gradients_head_by_head(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape(persistent=True) as tape:
        y_pred = model(x, training=True)
        losses = head_losses(y, y_pred)
    gradients = []
    for variable in model.trainable_variables:
        value, kind = (tape.gradient(losses[name], variable) for name in ("value", "kind"))
        # The variables of one head have no part in the other's loss.
        parts = [part for part in (value, None if kind is None else 0.3 * kind) if part is not None]
        gradients.append(tf.add_n(parts))
    del tape
    model.optimizer.apply(gradients, model.trainable_variables)
    track_outputs(model, data, y_pred, losses)
    kerasx.track_loss(model, losses["value"] + 0.3 * losses["kind"], x)
    return model.compute_metrics(x, y, y_pred)


@correct("weighted/sum-over-rows")
def weighted_sum_over_rows(model: keras.Model, data: Batch) -> Logs:
    x, y, weight = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        errors = tf.reshape(y_pred, [-1]) - tf.reshape(y, [-1])
        loss = tf.tensordot(tf.square(errors), weight, axes=1) / tf.cast(tf.size(weight), tf.float32)
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred, sample_weight=weight)


@correct("half/cast-by-hand")
def casts_by_hand(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = tf.reduce_mean(tf.square(tf.cast(y_pred, tf.float32) - y))
        scaled_loss = model.optimizer.scale_loss(loss)
    gradients = tape.gradient(scaled_loss, model.trainable_variables)
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@correct("clipped/apply-gradients")
def applies_pairs(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = keras.losses.MeanSquaredError()(y, y_pred)
    pairs = list(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True))
    model.optimizer.apply_gradients(reversed(pairs))
    model.metrics[0].update_state(loss, sample_weight=len(x))
    return model.compute_metrics(x, y, y_pred)


@correct("clipped/stateless-call")
def takes_over_the_new_state(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred, state = model.stateless_call(
            model.trainable_variables, model.non_trainable_variables, x, training=True
        )
        loss = model.compute_loss(x, y, y_pred)
    update_weights(model, tape, loss)
    for variable, value in zip(model.non_trainable_variables, state, strict=True):
        variable.assign(value)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@correct("binary/formula")
def formula_of_crossentropy(model: keras.Model, data: Batch) -> Logs:
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        p = tf.clip_by_value(y_pred, 1e-7, 1.0 - 1e-7)
        loss = -tf.reduce_mean(y * tf.math.log(p) + (1.0 - y) * tf.math.log1p(-p))
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred)


@correct("binary/unpacked")
def unpacks_three(model: keras.Model, data: Batch) -> Logs:
    x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.optimizer.scale_loss(model.compute_loss(x, y, y_pred, weight))
    update_weights(model, tape, loss)
    kerasx.track_loss(model, loss, x)
    return model.compute_metrics(x, y, y_pred, weight)
