"""Steps and models to check: the patterns of Keras's guides, and steps of which each fails in one scenario.

The step of each scenario does what `fit` does on the plain one, and something else where it is named for.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

# --- As Keras's guides have it --------------------------------------------------------------------------


class GuideModel(keras.Model):
    """A train step that leaves loss and metrics to `compile`."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}


class GuideOwnMetrics(keras.Model):
    """A train step with a loss and metrics of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mean_loss = keras.metrics.Mean(name="loss")
        self.error = keras.metrics.MeanAbsoluteError(name="mae")

    @property
    def metrics(self) -> list[Any]:
        return [self.mean_loss, self.error]

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = keras.losses.MeanSquaredError()(y, y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self.mean_loss.update_state(loss)
        self.error.update_state(y, y_pred)
        return {"loss": self.mean_loss.result(), "mae": self.error.result()}


def guide_loop(model: keras.Model, batches: Any) -> Any:
    """A training loop written from scratch, with the losses that layers add."""
    criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for x, y in batches:
        with tf.GradientTape() as tape:
            loss = criterion(y, model(x, training=True))
            loss += sum(model.losses)
        gradients = tape.gradient(loss, model.trainable_weights)
        model.optimizer.apply(gradients, model.trainable_weights)
    return {"loss": loss}


class Keras2(keras.Model):
    """As it was written for Keras 2."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compiled_loss(y, y_pred, regularization_losses=self.losses)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.compiled_metrics.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}


def sharpness_aware(model: keras.Model, data: Any) -> Any:
    """Meant to differ: its gradient is the one from weights a little way up the hill."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred, sample_weight)
    gradients = tape.gradient(loss, variables)
    up = [0.05 * each / (tf.linalg.global_norm(gradients) + 1e-12) for each in gradients]
    for variable, way in zip(variables, up, strict=True):
        variable.assign_add(way)
    with tf.GradientTape() as tape:
        there = model.compute_loss(x, y, model(x, training=True), sample_weight)
    gradients = tape.gradient(there, variables)
    for variable, way in zip(variables, up, strict=True):
        variable.assign_sub(way)
    model.optimizer.apply(gradients, variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred, sample_weight)


sharpness_aware.kerasx_expect = ("forward", "gradient", "update")  # type: ignore[attr-defined]


# --- One for each scenario ------------------------------------------------------------------------------


def _step(model: keras.Model, data: Any, **changed: Any) -> Any:
    """Keras's step, with some of its parts exchanged."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if changed.get("drops_weights"):
        sample_weight = None
    compute = changed.get("loss", lambda y_pred: model.compute_loss(x, y, y_pred, sample_weight))
    variables = changed.get("variables", model.trainable_variables)
    with tf.GradientTape() as tape:
        y_pred = model(x, **changed.get("flags", {"training": True}))
        loss = compute(y_pred)
        scaled = model.optimizer.scale_loss(loss) if changed.get("scales", True) else loss
    gradients = tape.gradient(scaled, variables)
    if "apply" in changed:
        changed["apply"](gradients, variables)
    else:
        model.optimizer.apply(gradients, variables)
    rows = tf.shape(keras.tree.flatten(x)[0])[0]
    model.metrics[0].update_state(loss, sample_weight=rows)
    if changed.get("is_quiet"):
        return {"loss": model.metrics[0].result()}
    return model.compute_metrics(x, y, y_pred, sample_weight)


def short_last_batch(model: keras.Model, data: Any) -> Any:
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)

    def loss(y_pred: Any) -> Any:
        rows = tf.cast(tf.shape(keras.tree.flatten(x)[0])[0], "float32")
        return model.compute_loss(x, y, y_pred, sample_weight) * (rows / 8.0)

    return _step(model, data, loss=loss)


def dropout_and_batch_normalization(model: keras.Model, data: Any) -> Any:
    return _step(model, data, flags={})


def regularizers_and_add_loss(model: keras.Model, data: Any) -> Any:
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    return _step(
        model, data, loss=lambda y_pred: model.compute_loss(x, y, y_pred, sample_weight) - sum(model.losses)
    )


def sample_weights(model: keras.Model, data: Any) -> Any:
    return _step(model, data, drops_weights=True)


class_weights = sample_weights


def masks(model: keras.Model, data: Any) -> Any:
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)

    def loss(y_pred: Any) -> Any:
        copied = keras.tree.map_structure(tf.identity, y_pred)
        return model.compute_loss(x, y, copied, sample_weight)

    return _step(model, data, loss=loss)


def several_outputs(model: keras.Model, data: Any) -> Any:
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)

    def loss(y_pred: Any) -> Any:
        whole = model.compute_loss(x, y, y_pred, sample_weight)
        if not isinstance(y, dict):
            return whole
        criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return sum(criterion(y[name], y_pred[name]) for name in y)

    return _step(model, data, loss=loss)


def column_labels(model: keras.Model, data: Any) -> Any:
    """Of squared errors `[batch]` less `[batch, 1]`."""
    _, y, _ = keras.utils.unpack_x_y_sample_weight(data)
    return _step(model, data, loss=lambda y_pred: ops.mean(ops.square(y - y_pred)))


def one_hot_labels(model: keras.Model, data: Any) -> Any:
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    leaves = [tf.argmax(leaf, -1) if leaf.dtype.is_floating else leaf for leaf in keras.tree.flatten(y)]
    y = keras.tree.pack_sequence_as(y, leaves)
    return _step(model, (x, y) if sample_weight is None else (x, y, sample_weight))


def mixed_precision(model: keras.Model, data: Any) -> Any:
    return _step(model, data, scales=False)


def _bypassing(model: keras.Model, data: Any, rate: float | None = None) -> Any:
    """By the update rule of the optimizer, past what `apply` does beside."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)

    def apply(gradients: Any, variables: Any) -> None:
        optimizer.build(variables)
        for gradient, variable in zip(gradients, variables, strict=True):
            learning_rate = optimizer.learning_rate if rate is None else rate
            optimizer.update_step(gradient, variable, ops.cast(learning_rate, "float32"))
        if isinstance(optimizer.iterations, keras.Variable):  # which accumulation has none of
            optimizer.iterations.assign_add(1)

    return _step(model, data, apply=apply)


clipping = decay_and_constraints = averaged_weights = accumulation = _bypassing


def schedule_and_momentum(model: keras.Model, data: Any) -> Any:
    return _bypassing(model, data, rate=0.05)


def frozen_layers(model: keras.Model, data: Any) -> Any:
    return _step(model, data, variables=list(model.weights))


def metrics_over_two_epochs(model: keras.Model, data: Any) -> Any:
    return _step(model, data, is_quiet=True)


class validation(keras.Model):
    def test_step(self, data: Any) -> Any:
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred = self(x, training=True)
        loss = self.compute_loss(x, y, y_pred, sample_weight, training=False)
        self.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
        return self.compute_metrics(x, y, y_pred, sample_weight)


# What each is found to do in its scenario; None where it raises, or does what the catalogue has no cause for.
CAUSES: dict[str, str | None] = {
    "short-last-batch": "loss-batch-divisor",
    "dropout-and-batch-normalization": "training-flag",
    "regularizers-and-add-loss": "loss-extra",
    "sample-weights": "sample-weight",
    "class-weights": "sample-weight",
    "masks": "mask",
    "several-outputs": "loss-weights",
    "column-labels": "shape-broadcast",
    "one-hot-labels": None,
    "mixed-precision": "loss-scale",
    "clipping": None,
    "decay-and-constraints": None,
    "averaged-weights": None,
    "schedule-and-momentum": None,
    "accumulation": None,
    "frozen-layers": None,
    "metrics-over-two-epochs": None,
    "validation": "training-flag",
}


# --- With an architecture of its own ----------------------------------------------------------------------


class OwnArchitecture(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(6, activation="relu")
        self.dropout = keras.layers.Dropout(0.3)
        self.score = keras.layers.Dense(1)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.score(self.dropout(self.hidden(x), training=training))

    def train_step(self, data: Any) -> Any:
        return _step(self, data, flags={})


def own_architecture() -> keras.Model:
    model = OwnArchitecture()
    model.compile("adam", keras.losses.MeanSquaredError())
    return model


def built() -> keras.Model:
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def rows() -> Any:
    x = keras.random.normal((50, 5), seed=1)
    return {"x_train": ops.convert_to_numpy(x), "y_train": ops.convert_to_numpy(ops.sum(x, 1, keepdims=True))}


# --- That do not work ---------------------------------------------------------------------------------------


def _helper() -> None:
    raise ValueError("boom")


def raising(model: keras.Model, data: Any) -> Any:
    _helper()


def nothing(model: keras.Model, data: Any) -> Any:
    return None


def leaving(model: keras.Model, data: Any) -> Any:
    raise SystemExit("bye")


def leaving_with_momentum(model: keras.Model, data: Any) -> Any:
    if model.optimizer.momentum:
        raise SystemExit(0)
    return _step(model, data)


class Keras2Gone(keras.Model):
    """As it was written for mixed precision in Keras 2, with what Keras 3 has no longer."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            scaled = self.optimizer.get_scaled_loss(self.compute_loss(x, y, self(x, training=True)))
        gradients = tape.gradient(scaled, self.trainable_variables)
        self.optimizer.apply(self.optimizer.get_unscaled_gradients(gradients), self.trainable_variables)
        return self.compiled_metrics.result()


class DerivedFromKeras2(Keras2):
    """Whose idioms are its base's."""


def built_keras_2() -> keras.Model:
    kind = DerivedFromKeras2  # which the source of this does not tell
    inputs = keras.Input((5,))
    model = kind(inputs, keras.layers.Dense(3)(inputs))
    model.compile("sgd", "mse")
    return model


@tf.function  # type: ignore[untyped-decorator]
def _updated(model: keras.Model, y: Any, y_pred: Any) -> Any:
    return model.compiled_metrics.update_state(y, y_pred)


def calls_keras_2(model: keras.Model, data: Any) -> Any:
    x, y = data
    _updated(model, y, model(x))


class Adversarial(keras.Model):
    """As Keras's guide has it: two networks, two optimizers, and no `call`."""

    def __init__(self, discriminator: Any, generator: Any, size: int) -> None:
        super().__init__()
        self.discriminator, self.generator, self.size = discriminator, generator, size

    def compile(self, d_optimizer: Any, g_optimizer: Any) -> None:
        super().compile()
        self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer

    def train_step(self, data: Any) -> Any:
        return {"loss": 0.0}


class AdversarialCall(Adversarial):
    """With a `call`."""

    def call(self, x: Any) -> Any:
        return self.discriminator(x)


def adversarial(kind: Any = Adversarial) -> keras.Model:
    model = kind(keras.layers.Dense(1), keras.layers.Dense(5), 3)
    model.compile("sgd", "sgd")
    return model  # type: ignore[no-any-return]


def adversarial_call() -> keras.Model:
    return adversarial(AdversarialCall)


def without_loss() -> keras.Model:
    model = OwnArchitecture()
    model.compile("adam")
    return model


def endless(model: keras.Model, data: Any) -> Any:
    while True:
        pass
