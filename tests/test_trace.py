"""Traces: what is observed of any training, that it is right, and that observing it changes nothing."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from kerasx.data.arrays import Arrays  # noqa: E402
from kerasx.data.batches import training_batches  # noqa: E402
from kerasx.data.dataset import as_dataset  # noqa: E402
from kerasx.experiment import Experiment  # noqa: E402
from kerasx.parity import storage  # noqa: E402
from kerasx.parity.first_steps import Steps, take_steps  # noqa: E402
from kerasx.parity.judge import differences  # noqa: E402
from kerasx.parity.noise import Disturbance  # noqa: E402
from kerasx.parity.records import Record, Reduced, StepTrace, Trace, reduced  # noqa: E402
from kerasx.parity.sides import Named  # noqa: E402
from kerasx.parity.state import FullState, read_state, set_state, state_variables  # noqa: E402
from kerasx.parity.storage import load_trace, save_trace  # noqa: E402
from kerasx.registry import Registry  # noqa: E402
from kerasx.training.layers import all_layers  # noqa: E402
from kerasx.training.loop import run_epochs  # noqa: E402
from kerasx.training.seams import built_with, observed  # noqa: E402

Logs = dict[str, Any]
Records = dict[str, Any]

BATCH_SIZE = 4
RNG = np.random.RandomState(5)
X = RNG.randn(7, 3).astype("float32")  # a batch of 4 and one of 3
Y = RNG.randn(7, 2).astype("float32")
MANY_X = RNG.randn(23, 3).astype("float32")  # 5 batches of 4 and one of 3
MANY_Y = RNG.randn(23, 2).astype("float32")


def linear_model() -> keras.Model:
    inputs = keras.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(2, name="line")(inputs))


def rich_model(kind: type[keras.Model] = keras.Model) -> keras.Model:
    """With all there is to record: dropout, moving statistics and a penalty."""
    inputs = keras.Input((3,))
    penalty = keras.regularizers.L2(0.1)
    hidden = keras.layers.Dense(4, "relu", kernel_regularizer=penalty, name="hidden")(inputs)
    hidden = keras.layers.BatchNormalization(name="normalization")(hidden)
    hidden = keras.layers.Dropout(0.4, seed=2, name="dropout")(hidden)
    return kind(inputs, keras.layers.Dense(2, name="scores")(hidden))


def experiment(strategy: Any = "custom-step", **fields: Any) -> Experiment:
    values: dict[str, Any] = {
        "model": linear_model,
        "dataset": (X, Y),
        "loss": "mse",
        "metrics": ["mae"],
        "optimizer": {"name": "sgd", "learning_rate": 0.1},
        "batch_size": BATCH_SIZE,
        "shuffle": False,
        "execution": "eager",
        "jit": False,
        "strategy": strategy,
    }
    return Experiment(**{**values, **fields})


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


Tracer = Callable[..., Steps]


@pytest.fixture(scope="module")
def trace(registry: Registry) -> Tracer:
    """Trace a strategy: `trace(strategy, **fields of the experiment)`."""

    def traced(
        strategy: Any = "custom-step",
        *,
        states: list[FullState] | None = None,
        disturbance: Disturbance | None = None,
        **fields: Any,
    ) -> Steps:
        side = Named("this", experiment(strategy, **fields))
        return take_steps(side, registry, observes=True, states=states, disturbance=disturbance)

    return traced


def steps_of(steps: Steps, kind: str = "training") -> list[StepTrace]:
    return [step for step in steps.trace.steps if step.kind == kind]


def records(steps: Steps, number: int = 0, kind: str = "training") -> Records:
    """The values of one step by quantity."""
    return {name: record.value for name, record in steps_of(steps, kind)[number].records.items()}


def outcome(steps: Steps) -> Records:
    """What the training came to."""
    return {name: record.value for name, record in steps.trace.steps[-1].records.items()}


def same_bits(a: Any, b: Any) -> bool:
    if isinstance(a, str | Reduced) or isinstance(b, str | Reduced):
        return bool(a == b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def unequal(a: Steps, b: Steps) -> list[Any]:
    """Where two traces differ in a bit of a quantity that both have."""
    assert [(s.epoch, s.step, s.kind) for s in a.trace.steps] == [
        (s.epoch, s.step, s.kind) for s in b.trace.steps
    ]
    return [
        (ours.epoch, ours.step, ours.kind, name)
        for ours, theirs in zip(a.trace.steps, b.trace.steps, strict=True)
        for name in ours.records.keys() & theirs.records.keys()
        if not same_bits(ours.records[name].value, theirs.records[name].value)
    ]


def own_step(model: keras.Model, data: Any) -> Logs:
    """A step as it is written by hand."""
    x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred, weight)
        kerasx.track_loss(model, loss, x)
        scaled = model.optimizer.scale_loss(loss)
    gradients = tape.gradient(scaled, model.trainable_variables)
    model.optimizer.apply(gradients, model.trainable_variables)
    return model.compute_metrics(x, y, y_pred, weight)


def own_loop(model: keras.Model, batches: Any) -> Logs:
    logs: Logs = {}
    for data in batches:
        logs = own_step(model, data)
    return logs


class OwnStrategy(kerasx.StepStrategy):
    """A loop of its own, which tells of batches by callbacks."""

    capabilities = kerasx.Capabilities(executions=("eager",), jit=False, distribution=False)

    def train(self, task: Any) -> dict[str, list[float]]:
        def epoch_of(callbacks: Any, epoch: int) -> Logs:
            logs: Logs = {}
            for number, data in enumerate(task.batches.epoch(epoch)):
                callbacks.on_train_batch_begin(number)
                logs = own_step(task.model, data)
                callbacks.on_train_batch_end(number, logs)
            return logs

        test = None if task.validation is None else task.bind(kerasx.test_step, task.validation)
        return run_epochs(task, epoch_of, test)


class OwnModel(keras.Model):
    """A model that brings its train_step."""

    def train_step(self, data: Any) -> Logs:
        return own_step(self, data)


# --- What there is in a trace -----------------------------------------------------------------------------

RICH: dict[str, Any] = {
    "model": rich_model,
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "dataset": ((X, Y, np.linspace(0.5, 2, 7, dtype="float32")), (X[:4], Y[:4])),
}
RICH_WAYS: dict[str, Any] = {
    "custom-step": "custom-step",
    "compiled-fit": "compiled-fit",
    "gradient-tape": "gradient-tape",
    "step": own_step,
    "loop": own_loop,
    "strategy": OwnStrategy(),
    "own-train-step": "compiled-fit",
}


@pytest.fixture(scope="module")
def rich(trace: Tracer) -> Callable[[str], Steps]:
    """The same training, done in one of the ways."""
    taken: dict[str, Steps] = {}

    def traced(way: str) -> Steps:
        if way not in taken:
            fields = {**RICH, "model": lambda: rich_model(OwnModel)} if way == "own-train-step" else RICH
            taken[way] = trace(RICH_WAYS[way], **fields)
        return taken[way]

    return traced


@pytest.mark.parametrize("way", RICH_WAYS)
def test_all_that_a_step_brings_forth_is_there(rich: Callable[[str], Steps], way: str) -> None:
    """At every stage, whoever wrote the step."""
    steps = rich(way)
    assert steps.slipped is None
    first = records(steps)
    trained = ["hidden/kernel", "hidden/bias", "scores/kernel", "scores/bias"]
    trained += ["normalization/gamma", "normalization/beta"]
    np.testing.assert_array_equal(first["batch x"], X[:4])
    np.testing.assert_array_equal(first["batch y"], Y[:4])
    assert {first[f"batch {name}"].dtype.name for name in ("x", "y", "sample_weight")} == {"float32"}
    assert (first["initial value of normalization/moving_variance"] == 1).all()
    assert first["initial value of hidden/kernel"].shape == (3, 4)
    assert int(first["initial slot iteration"]) == 0
    assert first["trained variables"] == ", ".join(sorted(trained))
    assert first["training flag"] == "True"
    assert first["outputs"].shape == (4, 2)
    assert first["loss"].shape == ()
    assert first["dtype of the loss"] == "float32"
    assert first["what mse gave"].shape == ()
    for name in trained:
        assert same_bits(first[f"tape gradient of {name}"], first[f"gradient of {name}"])
        assert first[f"gradient of {name}"].any(), name
        assert first[f"change of {name}"].any(), name
        assert first[f"slot {name.replace('/', '_')}_velocity"].any(), name
    assert first["change of normalization/moving_mean"].any()
    (seed,) = (name for name in first if name.startswith("seed "))
    assert first[seed].tolist() == [2, 1]
    assert first["optimizer"] == "Adam"
    assert float(first["learning_rate"]) == pytest.approx(0.01)
    assert first["metric mae"].startswith("MeanAbsoluteError(float32[4, 2], float32[4, 2]")
    assert float(first["state of metric mae: count"]) > 0
    stages = {record.stage for record in steps_of(steps)[0].records.values()}
    assert stages == {"data", "initial-state", "forward", "loss", "gradient", "update", "state", "report"}
    later = records(steps, 1)
    assert "batch x" in later
    assert not any(name.startswith("initial ") for name in later)
    assert int(later["slot iteration"]) == 2
    evaluated = records(steps, 0, "evaluation")
    assert evaluated["training flag"] == "False"
    assert evaluated["loss"].shape == ()
    assert "gradient of hidden/kernel" not in evaluated
    assert not evaluated["change of hidden/kernel"].any()
    assert evaluated["returned names"] == "val_loss, val_mae"
    reported = records(steps, 0, "epoch")
    assert reported["epoch's names"] == "loss, mae, val_loss, val_mae"
    if way != "loop":  # what a loop returns of a batch is seen by nobody
        assert first["returned names"] == first["reported names"] == "loss, mae"
        assert float(first["returned loss"]) == pytest.approx(float(first["loss"]))


@pytest.mark.parametrize("way", [way for way in RICH_WAYS if way != "compiled-fit"])
def test_the_same_training_gives_the_same_bits(rich: Callable[[str], Steps], way: str) -> None:
    """At each quantity that both have; all of those that decide are there on both sides, but for logs."""
    reference, other = rich("compiled-fit"), rich(way)
    assert unequal(reference, other) == []
    for ours, theirs in zip(reference.trace.steps, other.trace.steps, strict=True):
        missing = {name for name, record in ours.records.items() if record.role == "decides"}
        missing -= theirs.records.keys()
        if way == "loop":
            missing -= {name for name in missing if name.startswith(("returned ", "reported "))}
        assert not missing


def test_two_traces_of_one_experiment_are_the_same(trace: Tracer) -> None:
    """Nothing is carried over; and where the seed differs the traces do, so that this can fail."""
    steps = trace()
    assert unequal(steps, trace()) == []
    assert unequal(steps, trace(seed=1))


@pytest.fixture(scope="module")
def looped(trace: Tracer) -> Steps:
    """A loop that goes batch by batch, to compare others with."""
    return trace(own_loop)


@pytest.fixture(scope="module")
def leader(rich: Callable[[str], Steps]) -> Steps:
    """A training that others are led by."""
    return rich("custom-step")


# --- Values -----------------------------------------------------------------------------------------------


def test_loss_gradient_and_change_are_those_of_a_linear_model(trace: Tracer) -> None:
    """Computed again with NumPy in float64, for each batch of both epochs."""
    steps = trace()
    assert len(steps_of(steps)) == 4
    first = records(steps)
    kernel, bias = (first[f"initial value of line/{name}"].astype("float64") for name in ("kernel", "bias"))
    for number in range(4):
        found = records(steps, number)
        x, y = ((X[:4], Y[:4]), (X[4:], Y[4:]))[number % 2]
        error = x @ kernel + bias - y
        gradients = {"kernel": 2 * x.T @ error / error.size, "bias": 2 * error.sum(axis=0) / error.size}
        np.testing.assert_allclose(found["outputs"], error + y, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found["loss"], np.mean(error**2), rtol=1e-5)
        for name, gradient in gradients.items():
            np.testing.assert_allclose(found[f"tape gradient of line/{name}"], gradient, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(found[f"change of line/{name}"], -0.1 * gradient, rtol=1e-4, atol=1e-6)
        rows = sum(len(part) for part in (X[:4], X[4:])[: number % 2 + 1])
        assert float(found["state of metric loss: count"]) == rows
        kernel, bias = kernel - 0.1 * gradients["kernel"], bias - 0.1 * gradients["bias"]
    np.testing.assert_allclose(outcome(steps)["line/kernel after training"], kernel, rtol=1e-4)


def test_the_seed_advances_by_one_for_each_pass_with_dropout(trace: Tracer) -> None:
    """And does not in evaluation."""

    def model() -> keras.Model:
        return keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.5, seed=9), keras.layers.Dense(2)])

    steps = trace(model=model, dataset=((X, Y), (X, Y)))
    name = next(name for name in records(steps) if name.startswith("seed "))
    assert [records(steps, number)[name].tolist() for number in range(4)] == [[9, n] for n in (1, 2, 3, 4)]
    assert [records(steps, n, "evaluation")[name].tolist() for n in range(4)] == [[9, 2]] * 2 + [[9, 4]] * 2


def test_of_a_vector_the_loss_is_the_sum(trace: Tracer) -> None:
    """As that is what a tape differentiates."""

    def step(model: keras.Model, data: Any) -> Logs:
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(model(x, training=True) - y), axis=-1)
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply(gradients, model.trainable_variables)
        return {"loss": tf.reduce_mean(loss)}

    found = records(trace(step, metrics=[]))
    kernel = found["initial value of line/kernel"]
    assert float(found["loss"]) == pytest.approx(float(np.sum((X[:4] @ kernel - Y[:4]) ** 2)), rel=1e-5)
    assert found["shape of the loss"] == "[4]"


def test_penalties_are_those_of_the_weights_that_the_step_began_with(trace: Tracer) -> None:
    """What layers added to this step's loss, not what they would add to the next one's."""

    def model() -> keras.Model:
        penalty = keras.regularizers.L2(0.5)
        inputs = keras.Input((3,))
        return keras.Model(inputs, keras.layers.Dense(2, kernel_regularizer=penalty, name="line")(inputs))

    found = records(trace(model=model))
    kernel = found["initial value of line/kernel"]
    penalty = 0.5 * float(np.sum(kernel.astype("float64") ** 2))
    assert float(found["loss"] - found["what mse gave"]) == pytest.approx(penalty, rel=1e-4)
    assert float(found["losses that layers added"]) == pytest.approx(penalty, rel=1e-5)


# --- Batches ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["custom-step", "gradient-tape", own_loop])
def test_batches_are_those_of_the_real_training(trace: Tracer, way: Any) -> None:
    """The first ones of each epoch in its own order, and its short last one by its real number."""
    steps = trace(way, dataset=(MANY_X, MANY_Y), shuffle=True, seed=4)
    whole = training_batches(as_dataset((MANY_X, MANY_Y), "rows").train, BATCH_SIZE, 4)
    assert [(step.epoch, step.step) for step in steps_of(steps)] == [
        (epoch, number) for epoch in (0, 1) for number in (0, 1, 2, 5)
    ]
    expected = [list(whole.epoch(epoch).as_numpy_iterator()) for epoch in (0, 1)]
    for number, step in enumerate(steps_of(steps)):
        x, y = expected[step.epoch][step.step or 0]
        found = records(steps, number)
        for quantity, rows in (("batch x", x), ("inputs of the first forward pass", x), ("batch y", y)):
            np.testing.assert_array_equal(found[quantity], rows)
    assert len(records(steps, 3)["batch x"]) == 3
    assert not same_bits(records(steps, 0)["batch x"], records(steps, 4)["batch x"])


@pytest.mark.parametrize(("rows", "numbers"), [(3, [0]), (4, [0]), (16, [0, 1, 2, 3]), (20, [0, 1, 2, 4])])
def test_few_batches_are_all_taken(trace: Tracer, rows: int, numbers: list[int]) -> None:
    """One batch only; and as many as are taken anyway; and one more."""
    steps = trace(dataset=(MANY_X[:rows], MANY_Y[:rows]))
    assert [step.step for step in steps_of(steps)] == numbers * 2
    assert len(records(steps, len(numbers) - 1)["batch x"]) == min(rows, 4)


# --- Seams ------------------------------------------------------------------------------------------------


class Told:
    """An observer that keeps what it is told, by seam."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def called_layer(self, layer: Any, arguments: Any, options: Any, outputs: Any) -> None:
        self.calls.append(("layer", layer, outputs))

    def computed_loss(self, arguments: Any, loss: Any) -> None:
        self.calls.append(("compute_loss", arguments, loss))

    def called_loss(self, criterion: Any, y_true: Any, y_pred: Any, loss: Any) -> None:
        self.calls.append(("loss", criterion, loss))

    def scaled_loss(self, loss: Any, scaled: Any) -> None:
        self.calls.append(("scale_loss", loss, scaled))

    def took_gradient(self, target: Any, sources: Any, gradients: Any) -> None:
        self.calls.append(("gradient", target, gradients))

    def begins_apply(self, optimizer: Any, gradients: Any, variables: Any) -> None:
        self.calls.append(("begins", optimizer, gradients))

    def applied(self, optimizer: Any) -> None:
        self.calls.append(("applied", optimizer))

    def updated_metric(self, metric: Any, arguments: Any, options: Any) -> None:
        self.calls.append(("metric", metric, arguments))

    def of(self, seam: str) -> list[Any]:
        return [call[1] for call in self.calls if call[0] == seam]


def compiled(model: keras.Model | None = None, optimizer: Any = "sgd", loss: Any = "mse") -> keras.Model:
    model = model or linear_model()
    model.compile(optimizer, loss, metrics=["mae"], run_eagerly=True, jit_compile=False)
    return model


@pytest.mark.parametrize("optimizer", ["sgd", "scaled"])
def test_every_seam_is_called_by_fit(optimizer: str) -> None:
    """A Keras whose training goes around one of them is noticed here; outermost calls only."""
    sgd: Any = keras.optimizers.SGD(0.1)
    scaled = keras.optimizers.LossScaleOptimizer(sgd) if optimizer == "scaled" else sgd
    model, told = compiled(optimizer=scaled), Told()
    with observed(told):
        model.fit(X[:4], Y[:4], verbose=0)
    assert told.of("layer") == [model]
    assert len(told.of("compute_loss")) == 1
    assert [type(each).__name__ for each in told.of("loss")][-1] == "CompileLoss"
    assert len(told.of("scale_loss")) == 1
    assert len(told.of("gradient")) == 1
    assert told.of("begins") == told.of("applied") == [scaled]
    assert {each.name for each in told.of("metric")} >= {"loss", "mae", "compile_metrics"}
    order = [call[0] for call in told.calls if call[0] not in ("loss", "metric")]
    assert order == ["layer", "compute_loss", "scale_loss", "gradient", "begins", "applied"]


def test_every_seam_is_called_by_evaluation() -> None:
    """Forward pass, loss and metrics, and nothing of training."""
    model, told = compiled(), Told()
    with observed(told):
        model.evaluate(X[:4], Y[:4], verbose=0)
    assert told.of("layer") == [model]
    assert len(told.of("compute_loss")) == 1
    assert "mae" in {each.name for each in told.of("metric")}
    assert not told.of("gradient")
    assert not told.of("begins")


def test_calls_by_hand_reach_the_seams() -> None:
    """Those that `fit` makes no use of: stateless calls, apply_gradients, a loss and a metric by itself."""
    model, told = compiled(), Told()
    model.optimizer.build(model.trainable_variables)
    with observed(told):
        outputs, _ = model.stateless_call(
            [v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables], X
        )
        keras.losses.MeanSquaredError()(Y, outputs)
        keras.metrics.MeanAbsoluteError()(Y, outputs)
        ones = [tf.ones(v.shape) for v in model.trainable_variables]
        model.optimizer.apply_gradients(zip(ones, model.trainable_variables, strict=True))
        model.optimizer.apply(ones)
    (forward,) = (call for call in told.calls if call[0] == "layer")
    assert forward[1] is model
    assert forward[2] is outputs
    assert [type(each) for each in told.of("loss")] == [keras.losses.MeanSquaredError]
    assert [type(each) for each in told.of("metric")] == [keras.metrics.MeanAbsoluteError]
    assert told.of("applied") == [model.optimizer] * 2
    variables = [call[2] for call in told.calls if call[0] == "begins"]
    assert [len(each) for each in variables] == [2, 2]


BY_NAME = ["stateless_call", "gradient", "apply", "compute_loss", "scale_loss", "loss"]


@pytest.mark.parametrize("seam", BY_NAME)
def test_arguments_may_be_passed_by_name(seam: str) -> None:
    """What works untraced works traced."""
    model, told = compiled(), Told()
    trainable = [v.value for v in model.trainable_variables]
    with observed(told), tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(inputs=X))
        if seam == "stateless_call":
            model.stateless_call(trainable_variables=trainable, non_trainable_variables=[], inputs=X)
            assert len(told.of("layer")) == 2
        elif seam == "compute_loss":
            model.compute_loss(x=X, y=Y, y_pred=model(X))
        elif seam == "scale_loss":
            model.optimizer.scale_loss(loss=loss)
        elif seam == "loss":
            keras.losses.MeanSquaredError()(y_true=Y, y_pred=model(X))
        else:
            with tape.stop_recording():
                gradients = tape.gradient(target=loss, sources=model.trainable_variables)
            if seam == "apply":
                model.optimizer.apply(grads=gradients, trainable_variables=model.trainable_variables)
    assert {"apply": "begins", "stateless_call": "layer"}.get(seam, seam) in [call[0] for call in told.calls]


class UserMetric(keras.metrics.Metric):
    def __init__(self) -> None:
        super().__init__(name="own")
        self.seen = self.add_weight(name="seen", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.seen.assign_add(1.0)

    def result(self) -> Any:
        return self.seen


class InheritingMetric(UserMetric):
    """Has nothing of its own."""


class Counting:
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.seen.assign_add(2.0)  # type: ignore[attr-defined]


class MixedMetric(Counting, UserMetric):
    """Its method comes from a class that is no metric."""


class UserLoss(keras.losses.Loss):
    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return tf.reduce_mean(tf.abs(y_pred - y_true))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        raise NotImplementedError


class UserLayer(keras.layers.Dense):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs)


class UserOptimizer(keras.optimizers.SGD):
    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        return super().apply([2 * grad for grad in grads], trainable_variables)


class UserModel(keras.Model):
    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        return 3 * super().compute_loss(*args, **kwargs)


SEAMS = {
    keras.Layer: ["__call__", "stateless_call"],
    keras.Model: ["__call__", "stateless_call", "compute_loss"],
    keras.losses.Loss: ["__call__"],
    keras.optimizers.Optimizer: ["apply", "scale_loss"],
    keras.optimizers.LossScaleOptimizer: ["apply", "scale_loss"],
    tf.GradientTape: ["gradient"],
    keras.metrics.Metric: ["update_state"],
    keras.metrics.Mean: ["update_state"],
    UserMetric: ["update_state"],
    InheritingMetric: ["update_state"],
    MixedMetric: ["update_state"],
    Counting: ["update_state"],
    UserLoss: ["__call__"],
    UserLayer: ["__call__"],
    UserOptimizer: ["apply"],
    UserModel: ["compute_loss"],
}


def seams_now() -> dict[Any, Any]:
    """The classes' own names in their order, and the methods at the seams, be they inherited or not."""
    return {
        kind: (list(vars(kind)), [(vars(kind).get(name), getattr(kind, name)) for name in names])
        for kind, names in SEAMS.items()
    }


@pytest.mark.parametrize("how", ["ends", "raises"])
def test_seams_are_put_back_without_a_trace(how: str) -> None:
    """Of Keras's classes and of the user's, also methods that were inherited; meanwhile they do differ."""
    before = seams_now()
    with pytest.raises(ZeroDivisionError) if how == "raises" else observed(Told()), observed(Told()):
        assert UserMetric.update_state is not before[UserMetric][1][0][1]
        assert "apply" in vars(keras.optimizers.Optimizer)
        if how == "raises":
            raise ZeroDivisionError
    after = seams_now()
    for kind, (names, methods) in before.items():
        assert sorted(after[kind][0]) == sorted(names), kind
        assert after[kind][1] == methods, kind
    assert "apply" not in vars(keras.optimizers.Optimizer)


@pytest.mark.parametrize("kind", ["step", "loop"])
def test_nothing_is_left_behind_when_the_traced_code_raises(trace: Tracer, kind: str) -> None:
    """Neither seams nor the eager execution of functions, which were as they were before."""

    def step(model: keras.Model, data: Any) -> Logs:
        own_step(model, data)
        raise ZeroDivisionError("mine")

    def loop(model: keras.Model, batches: Any) -> Logs:
        for data in batches:
            step(model, data)
        return {}

    before = seams_now()
    with pytest.raises(kerasx.UsageError, match="mine"):
        trace(step if kind == "step" else loop)
    assert {kind: methods for kind, (_, methods) in seams_now().items()} == {
        kind: methods for kind, (_, methods) in before.items()
    }
    assert "apply" not in vars(keras.optimizers.Optimizer)
    assert not tf.config.functions_run_eagerly()


@pytest.mark.parametrize(
    ("metric", "state"),
    [(UserMetric, 1.0), (InheritingMetric, 1.0), (MixedMetric, 2.0)],
    ids=["own", "inherited", "mixed-in"],
)
def test_a_users_metric_is_seen(trace: Tracer, metric: type[UserMetric], state: float) -> None:
    """Wherever its `update_state` comes from."""
    found = records(trace(metrics=[metric()]))
    assert found["metric own"].startswith(f"{metric.__name__}(float32[4, 2], float32[4, 2]")
    assert float(found["state of metric own: seen"]) == state


def test_a_users_loss_layer_model_and_optimizer_are_seen(trace: Tracer) -> None:
    """Also where they override the methods at the seams: gradients are those that the outermost was given."""

    def model() -> keras.Model:
        inputs = keras.Input((3,))
        return UserModel(inputs, UserLayer(2, name="line")(inputs))

    found = records(trace(model=model, loss=UserLoss(), optimizer=UserOptimizer(0.1)))
    assert float(found["loss"]) == pytest.approx(3 * float(found["what user_loss gave"]))
    assert found["optimizer"] == "UserOptimizer"
    gradient = found["gradient of line/kernel"]
    assert same_bits(gradient, found["tape gradient of line/kernel"])
    np.testing.assert_allclose(found["change of line/kernel"], -0.2 * gradient, rtol=1e-4, atol=1e-7)


def test_the_users_code_is_handed_the_very_objects(trace: Tracer) -> None:
    """y_pred is what the model's last layer made, with the mask and the logits that Keras hangs on it."""
    made: list[Any] = []
    marks: list[tuple[bool, bool, bool]] = []

    class Last(keras.layers.Dense):
        def call(self, inputs: Any, training: Any = None) -> Any:
            outputs = super().call(inputs)
            made.append(outputs)
            return outputs

    def model() -> keras.Model:
        inputs = keras.Input((3,), dtype="int32")
        words = keras.layers.Embedding(5, 3, mask_zero=True)(inputs)
        return keras.Model(inputs, Last(4, activation="softmax")(words))

    def step(model: keras.Model, data: Any) -> Logs:
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = model.compute_loss(x, y, y_pred)
        marks.append((y_pred is made[-1], hasattr(y_pred, "_keras_mask"), hasattr(y_pred, "_keras_logits")))
        model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return model.compute_metrics(x, y, y_pred)

    words = np.array([[1, 2, 0], [3, 0, 0], [4, 4, 1], [2, 1, 0]], "int32")
    loss = keras.losses.SparseCategoricalCrossentropy()
    fields = {"model": model, "dataset": (words, words % 4), "loss": loss, "metrics": []}
    traced = records(trace(step, **fields))
    assert marks == [(True, True, True)] * 2
    # The loss is that of Keras untraced: masked, and from logits.
    kerasx_model = model()
    kerasx_model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(), run_eagerly=True)
    kerasx_model.set_weights([value for name, value in traced.items() if name.startswith("initial value of")])
    untraced = kerasx_model.evaluate(words, words % 4, batch_size=4, verbose=0)
    assert float(traced["loss"]) == pytest.approx(untraced, rel=1e-6)


def test_what_other_threads_do_is_not_recorded(trace: Tracer) -> None:
    """A metric, a model and an optimizer that are used beside the training."""

    def step(model: keras.Model, data: Any) -> Logs:
        def beside() -> None:
            keras.metrics.Mean(name="beside").update_state(1.0)
            other = linear_model()
            with tf.GradientTape() as tape:
                loss = keras.losses.MeanSquaredError(name="beside")(Y, other(X))
            variables = other.trainable_variables
            keras.optimizers.Adam().apply(tape.gradient(loss, variables), variables)

        if not step_is_quiet:
            thread = threading.Thread(target=beside)
            thread.start()
            thread.join()
        return own_step(model, data)

    step_is_quiet = True
    quiet = trace(step)
    step_is_quiet = False
    loud = trace(step)
    assert unequal(quiet, loud) == []
    assert [list(step.records) for step in loud.trace.steps] == [
        list(step.records) for step in quiet.trace.steps
    ]


# --- What steps do ----------------------------------------------------------------------------------------


def gradient_step(gradients_of: Callable[[keras.Model, Any, Any], None]) -> Callable[..., Logs]:
    """A step that differs in how gradients are taken and applied."""

    def step(model: keras.Model, data: Any) -> Logs:
        x, y = data
        gradients_of(model, x, y)
        return {"loss": 0.0}

    return step


def mean_square(model: keras.Model, x: Any, y: Any) -> Any:
    return tf.reduce_mean(tf.square(model(x, training=True) - y))


def by_apply(model: keras.Model, x: Any, y: Any) -> None:
    with tf.GradientTape() as tape:
        loss = mean_square(model, x, y)
    model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)


def by_apply_gradients(model: keras.Model, x: Any, y: Any) -> None:
    with tf.GradientTape() as tape:
        loss = mean_square(model, x, y)
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))


def by_several_applies(model: keras.Model, x: Any, y: Any) -> None:
    with tf.GradientTape() as tape:
        loss = mean_square(model, x, y)
    gradients = tape.gradient(loss, model.trainable_variables)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    for gradient, variable in zip(gradients, model.trainable_variables, strict=True):
        model.optimizer.apply([gradient], [variable])


def by_a_persistent_tape(model: keras.Model, x: Any, y: Any) -> None:
    with tf.GradientTape(persistent=True) as tape:
        loss = mean_square(model, x, y)
    gradients = [tape.gradient(loss, variable) for variable in model.trainable_variables]
    model.optimizer.apply(gradients, model.trainable_variables)


def by_values(model: keras.Model, x: Any, y: Any) -> None:
    values = [variable.value for variable in model.trainable_variables]
    with tf.GradientTape() as tape:
        loss = mean_square(model, x, y)
    model.optimizer.apply(tape.gradient(loss, values), model.trainable_variables)


def by_watching(model: keras.Model, x: Any, y: Any) -> None:
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        for variable in model.trainable_variables:
            tape.watch(variable.value)
        loss = mean_square(model, x, y)
    model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)


def by_a_stateless_call(model: keras.Model, x: Any, y: Any) -> None:
    trainable = [variable.value for variable in model.trainable_variables]
    others = [variable.value for variable in model.non_trainable_variables]
    with tf.GradientTape() as tape:
        y_pred, _ = model.stateless_call(trainable, others, x, training=True)
        loss = tf.reduce_mean(tf.square(y_pred - y))
    model.optimizer.apply(tape.gradient(loss, trainable), model.trainable_variables)


def by_stateless_tensors(model: keras.Model, x: Any, y: Any) -> None:
    trainable = [tf.convert_to_tensor(variable) for variable in model.trainable_variables]
    others = [tf.convert_to_tensor(variable) for variable in model.non_trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(trainable)
        y_pred, _ = model.stateless_call(trainable, others, x, training=True)
        loss = tf.reduce_mean(tf.square(y_pred - y))
    model.optimizer.apply(tape.gradient(loss, trainable), model.trainable_variables)


def by_keyword(model: keras.Model, x: Any, y: Any) -> None:
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(training=True, inputs=x) - y))
    gradients = tape.gradient(target=loss, sources=model.trainable_variables)
    model.optimizer.apply(grads=gradients, trainable_variables=model.trainable_variables)


@tf.function
def in_a_function(model: keras.Model, x: Any, y: Any) -> None:
    by_apply(model, x, y)


def in_a_compiled_function(model: keras.Model, x: Any, y: Any) -> None:
    tf.function(lambda: by_apply(model, x, y), jit_compile=True)()


def from_accumulators(model: keras.Model, x: Any, y: Any) -> None:
    """As gradients are added up by hand: in variables that begin at zero again once they were applied."""
    with tf.GradientTape() as tape:
        loss = mean_square(model, x, y)
    sums = [tf.Variable(tf.zeros(variable.shape)) for variable in model.trainable_variables]
    for total, gradient in zip(sums, tape.gradient(loss, model.trainable_variables), strict=True):
        total.assign_add(gradient)
    model.optimizer.apply(sums, model.trainable_variables)
    for total in sums:
        total.assign(tf.zeros(total.shape))


def from_buffers(model: keras.Model, x: Any, y: Any) -> None:
    """The same in NumPy arrays."""
    with tf.GradientTape() as tape:
        loss = mean_square(model, x, y)
    sums = [gradient.numpy() for gradient in tape.gradient(loss, model.trainable_variables)]
    model.optimizer.apply(sums, model.trainable_variables)
    for total in sums:
        total.fill(0.0)


WAYS = [
    by_apply_gradients,
    by_several_applies,
    by_a_persistent_tape,
    by_values,
    by_watching,
    by_a_stateless_call,
    by_stateless_tensors,
    by_keyword,
    in_a_function,
    in_a_compiled_function,
    from_accumulators,
    from_buffers,
]
NEEDED = [
    "training flag",
    "outputs",
    "inputs of the first forward pass",
    "loss",
    "gradient of line/kernel",
    "gradient of line/bias",
    "change of line/kernel",
    "change of line/bias",
]


@pytest.fixture(scope="module")
def plain_step(trace: Tracer) -> Records:
    return records(trace(gradient_step(by_apply), metrics=[]))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: getattr(way, "__name__", "in_a_function"))
def test_however_gradients_are_taken_the_records_are_the_same(
    trace: Tracer, plain_step: Records, way: Any
) -> None:
    """The same mathematics in other calls: output, loss, gradients and changes are there, and are equal."""
    steps = trace(gradient_step(way), metrics=[])
    assert steps.slipped is None
    found = records(steps)
    assert set(NEEDED) <= plain_step.keys()
    assert set(NEEDED) <= found.keys()
    for name in NEEDED:
        if isinstance(found[name], str):
            assert found[name] == plain_step[name], name
        else:
            np.testing.assert_allclose(found[name], plain_step[name], rtol=1e-5, atol=1e-7, err_msg=name)


def test_weights_assigned_by_hand_are_seen_without_an_optimizer(trace: Tracer, plain_step: Records) -> None:
    """The tape tells the gradients, the state the change; no optimizer received anything."""

    def by_hand(model: keras.Model, x: Any, y: Any) -> None:
        with tf.GradientTape() as tape:
            loss = mean_square(model, x, y)
        for variable, gradient in zip(
            model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True
        ):
            variable.assign_sub(0.1 * gradient)

    found = records(trace(gradient_step(by_hand), metrics=[]))
    assert "optimizer" not in found
    assert "gradient of line/kernel" not in found
    for name in ("tape gradient of line/kernel", "change of line/kernel", "loss"):
        np.testing.assert_allclose(found[name], plain_step[name], rtol=1e-5, atol=1e-7)


def test_two_losses_of_a_persistent_tape_are_both_kept(trace: Tracer) -> None:
    """Each by its number, as two targets were differentiated; what is applied is their sum."""

    def both(model: keras.Model, x: Any, y: Any) -> None:
        with tf.GradientTape(persistent=True) as tape:
            outputs = model(x, training=True)
            first, second = tf.reduce_mean(tf.square(outputs - y)), tf.reduce_sum(tf.abs(outputs))
        variables = model.trainable_variables
        pairs = zip(tape.gradient(first, variables), tape.gradient(second, variables), strict=True)
        model.optimizer.apply([a + b for a, b in pairs], variables)

    found = records(trace(gradient_step(both), metrics=[]))
    outputs = X[:4] @ found["initial value of line/kernel"]
    assert float(found["loss 0"]) == pytest.approx(np.mean((outputs - Y[:4]) ** 2), rel=1e-5)
    assert float(found["loss 1"]) == pytest.approx(np.abs(outputs).sum(), rel=1e-5)
    np.testing.assert_allclose(
        found["change of line/kernel"], -0.1 * found["gradient of line/kernel"], rtol=1e-4, atol=1e-7
    )


def test_gradients_by_inputs_are_not_those_of_training(trace: Tracer, plain_step: Records) -> None:
    """As an adversarial step takes them; the loss stays the one that trains."""

    def step(model: keras.Model, x: Any, y: Any) -> None:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = 7 * mean_square(model, x, y)
        tape.gradient(loss, x)
        by_apply(model, x, y)

    found = records(trace(gradient_step(step), metrics=[]))
    assert same_bits(found["loss"], plain_step["loss"])
    assert found["forward passes of the model"] == "2"


def test_a_trained_clone_is_seen_in_the_weights_that_are_copied_back(
    trace: Tracer, plain_step: Records
) -> None:
    """What is trained is the clone; the change is that of the model."""

    def step(model: keras.Model, x: Any, y: Any) -> None:
        clone = keras.models.clone_model(model)
        clone.set_weights(model.get_weights())
        clone.compile(keras.optimizers.SGD(0.1))
        by_apply(clone, x, y)
        model.set_weights(clone.get_weights())

    steps = trace(gradient_step(step), metrics=[])
    found = records(steps)
    assert same_bits(found["loss"], plain_step["loss"])
    assert same_bits(found["change of line/kernel"], plain_step["change of line/kernel"])
    assert same_bits(found["inputs of the first forward pass"], X[:4])
    assert found["the batch"] == "used"


def test_two_updates_in_one_step_are_one_step(trace: Tracer) -> None:
    """Its change is that of both, and both gradients can be told."""

    def twice(model: keras.Model, x: Any, y: Any) -> None:
        by_apply(model, x, y)
        by_apply(model, x, y)

    steps = trace(gradient_step(twice), metrics=[])
    assert steps.slipped is None
    found = records(steps)
    assert int(found["slot iteration"]) == 2
    gradients = [v for name, v in found.items() if name.startswith("gradient of line/kernel")]
    assert len(gradients) == 2
    np.testing.assert_allclose(found["change of line/kernel"], -0.1 * sum(gradients), rtol=1e-4, atol=1e-7)


OWN_OPTIMIZER = """
import keras
import tensorflow as tf

module_optimizer = keras.optimizers.Adam(0.01)
held = keras.metrics.Mean(name="held")
calls = []


class Owner(keras.Model):
    def __init__(self):
        super().__init__()
        self.line = keras.layers.Dense(2, name="line")
        self.own = keras.optimizers.Adam(0.01)

    def call(self, x):
        return self.line(x)


def build():
    return Owner()


def update(model, optimizer, data):
    x, y = data
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(x, training=True) - y))
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    calls.append(1)
    held.update_state(loss)
    return {"loss": loss, "calls": float(len(calls)), "held": held.result()}


def in_model(model, data):
    return update(model, model.own, data)


def in_step(model, data):
    return update(model, keras.optimizers.Adam(0.01), data)


def in_module(model, data):
    return update(model, module_optimizer, data)


def sets_policy(model, data):
    keras.config.set_dtype_policy("mixed_bfloat16")
    return update(model, model.optimizer, data)
"""


@pytest.fixture
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "mine.py").write_text(OWN_OPTIMIZER)
    monkeypatch.chdir(tmp_path)
    return "mine.py"


@pytest.mark.parametrize("where", ["in_model", "in_step", "in_module"])
def test_an_optimizer_of_ones_own_is_seen(trace: Tracer, own_file: str, where: str) -> None:
    """Inside the model (which arrives unbuilt), made in the step, or at module level."""
    fields = {"model": f"{own_file}:build", "metrics": []}
    steps, again = (trace(f"{own_file}:{where}", **fields) for _ in range(2))
    found = records(steps)
    assert found["optimizer"] == "Adam"
    kernel = next(name for name in found if name.startswith("gradient of ") and name.endswith("kernel"))
    change = found[kernel.replace("gradient", "change")]
    np.testing.assert_allclose(change, -0.01 * np.sign(found[kernel]), rtol=1e-3)
    assert unequal(steps, again) == []
    assert float(records(again)["returned calls"]) == 1.0
    assert float(records(again)["returned held"]) == pytest.approx(float(found["loss"]))


def test_metrics_at_module_level_are_not_shared(trace: Tracer, own_file: str) -> None:
    """Two traces of the same file count from the beginning; within one the metric goes on counting."""
    first, second = (trace(f"{own_file}:in_model", model=f"{own_file}:build", metrics=[]) for _ in range(2))
    for steps in (first, second):
        counts = [float(records(steps, number)["state of metric held: count"]) for number in range(4)]
        assert counts == [1, 2, 3, 4]


def test_a_policy_set_in_a_step_is_put_back(trace: Tracer, own_file: str) -> None:
    """The process's own is what it was, and the model stays what it was built as."""
    steps = trace(f"{own_file}:sets_policy", model=f"{own_file}:build", metrics=[])
    assert keras.config.dtype_policy().name == "float32"
    assert records(steps, 1)["outputs"].dtype == "float32"


def test_module_level_code_does_not_stay_loaded(trace: Tracer, own_file: str) -> None:
    """Neither in the path nor among the modules."""
    path = list(sys.path)
    trace(f"{own_file}:in_model", model=f"{own_file}:build", metrics=[])
    assert sys.path == path
    assert "mine" not in sys.modules


# --- What loops do ----------------------------------------------------------------------------------------


def one_ahead(model: keras.Model, batches: Any) -> Logs:
    iterator = iter(batches)
    current, logs = next(iterator), {}
    while current is not None:
        following = next(iterator, None)
        logs = own_step(model, current)
        current = following
    return logs


def as_a_list(model: keras.Model, batches: Any) -> Logs:
    logs: Logs = {}
    for data in list(batches):
        logs = own_step(model, data)
    return logs


def second_pass(model: keras.Model, batches: Any) -> Logs:
    for _ in batches:
        pass
    return own_loop(model, batches)


def another_pipeline(model: keras.Model, batches: Any) -> Logs:
    return own_loop(model, batches.map(lambda x, y: (x, y)).prefetch(1))


@pytest.mark.parametrize(
    ("loop", "said"),
    [
        (one_ahead, "before it trains on those it has"),
        (as_a_list, "before it trains on those it has"),
        (second_pass, "more than once"),
        (another_pipeline, "another pipeline"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_loop_that_cannot_be_kept_in_step_is_said_to_be_so(
    trace: Tracer, looped: Steps, loop: Any, said: str
) -> None:
    """And is traced by its updates, which are those of the loop that goes batch by batch."""
    steps, reference = trace(loop), looped
    assert said in (steps.slipped or "")
    assert reference.slipped is None
    assert len(steps_of(steps)) == len(steps_of(reference)) == 4
    for number in range(4):
        ours, theirs = records(steps, number), records(reference, number)
        for name in ("batch x", "inputs of the first forward pass", "loss", "gradient of line/kernel"):
            assert same_bits(ours[name], theirs[name]), name
        assert same_bits(ours["change of line/kernel"], theirs["change of line/kernel"])
    assert [(s.epoch, s.step) for s in steps_of(steps)] == [(s.epoch, s.step) for s in steps_of(reference)]
    final = "line/kernel after training"
    assert same_bits(outcome(steps)[final], outcome(reference)[final])


def ahead_and_breaking_off(model: keras.Model, batches: Any) -> Logs:
    iterator = iter(batches)
    current = next(iterator)
    next(iterator)
    return own_step(model, current)


def ahead_without_the_last(model: keras.Model, batches: Any) -> Logs:
    iterator, logs = iter(batches), {}
    current = next(iterator)
    for following in iterator:
        logs = own_step(model, current)
        current = following
    return logs


@pytest.mark.parametrize(
    "loop", [ahead_and_breaking_off, ahead_without_the_last], ids=lambda loop: loop.__name__
)
def test_no_step_is_told_to_train_on_another_batch_than_it_does(trace: Tracer, loop: Any) -> None:
    """A loop that looks ahead and leaves batches out: either it slipped, or each step has its own batch."""
    steps = trace(loop)
    trained = [records(steps, number) for number in range(len(steps_of(steps)))]
    trained = [found for found in trained if "gradient of line/kernel" in found]
    assert len(trained) == 2
    for found in trained:
        inputs, rows = found["inputs of the first forward pass"], found["batch x"]
        assert steps.slipped is not None or same_bits(inputs, rows)


def breaking_off(model: keras.Model, batches: Any) -> Logs:
    for data in batches:
        return own_step(model, data)
    return {}


def full_batches_only(model: keras.Model, batches: Any) -> Logs:
    logs: Logs = {}
    for data in batches:
        if len(data[0]) == BATCH_SIZE:
            logs = own_step(model, data)
    return logs


def test_breaking_off_early_is_seen(trace: Tracer) -> None:
    """There are as many steps as were taken, and they are not said to have slipped."""
    steps = trace(breaking_off)
    assert steps.slipped is None
    assert [(step.epoch, step.step) for step in steps_of(steps)] == [(0, 0), (1, 0)]


def test_skipping_the_short_batch_is_seen(trace: Tracer) -> None:
    """It is left out, and nothing changes in its step."""
    steps = trace(full_batches_only)
    assert steps.slipped is None
    assert [records(steps, number)["the batch"] for number in range(4)] == ["used", "left out"] * 2
    assert not records(steps, 1)["change of line/kernel"].any()


def test_two_steps_on_one_batch_are_one_step_of_a_loop(trace: Tracer) -> None:
    """Told by the batches that are asked for, not by updates."""

    def loop(model: keras.Model, batches: Any) -> Logs:
        logs: Logs = {}
        for x, y in batches:
            own_step(model, (x[:2], y[:2]))
            logs = own_step(model, (x[2:], y[2:]))
        return logs

    steps = trace(loop)
    assert steps.slipped is None
    assert [int(records(steps, number)["slot iteration"]) for number in range(4)] == [2, 4, 6, 8]


def counting_first(model: keras.Model, batches: Any) -> Logs:
    assert int(batches.cardinality()) == len(batches) == 2
    assert batches.element_spec[0].shape[1:] == (3,)
    return own_loop(model, batches)


def with_an_iterator(model: keras.Model, batches: Any) -> Logs:
    iterator, logs = iter(batches), {}
    for _ in range(len(batches)):
        logs = own_step(model, iterator.get_next())
    return logs


def test_looking_at_the_batches_from_outside_is_no_slip(trace: Tracer, looped: Steps) -> None:
    """How many there are, and of what form, as for a progress bar."""
    steps = trace(counting_first)
    assert steps.slipped is None
    assert unequal(looped, steps) == []


def fitting(model: keras.Model, batches: Any) -> Logs:
    model.fit(batches, epochs=1, verbose=0)
    return {"loss": 0.0}


def zipping(model: keras.Model, batches: Any) -> Logs:
    logs: Logs = {}
    for data, _ in tf.data.Dataset.zip((batches, tf.data.Dataset.range(10))):
        logs = own_step(model, data)
    return logs


@pytest.mark.parametrize("loop", [with_an_iterator, fitting, zipping], ids=lambda loop: loop.__name__)
def test_loops_that_use_the_batches_as_a_data_set_work_traced(
    trace: Tracer, looped: Steps, loop: Any
) -> None:
    """They are trained untraced, so they are traced, in lockstep or by their updates."""
    steps = trace(loop)
    assert len(steps_of(steps)) == 4
    final = "line/kernel after training"
    assert same_bits(outcome(steps)[final], outcome(looped)[final])


@pytest.mark.parametrize("before", [False, True])
def test_functions_within_loops_run_eagerly_while_they_are_traced(trace: Tracer, before: bool) -> None:
    """And afterwards as they did before."""
    eagerly: list[bool] = []

    @tf.function
    def step(model: keras.Model, x: Any, y: Any) -> None:
        eagerly.append(tf.executing_eagerly())
        by_apply(model, x, y)

    def loop(model: keras.Model, batches: Any) -> Logs:
        for x, y in batches:
            step(model, x, y)
        return {"loss": 0.0}

    tf.config.run_functions_eagerly(before)
    try:
        found = records(trace(loop, metrics=[]))
        assert tf.config.functions_run_eagerly() is before
    finally:
        tf.config.run_functions_eagerly(False)
    assert eagerly == [True] * 4
    assert found["gradient of line/kernel"].any()


def test_a_strategy_that_tells_of_no_batches_is_said_to_be_so(trace: Tracer, looped: Steps) -> None:
    """Its steps are what there is between two updates."""

    class Silent(OwnStrategy):
        def train(self, task: Any) -> dict[str, list[float]]:
            return run_epochs(task, lambda callbacks, epoch: own_loop(task.model, task.batches.epoch(epoch)))

    steps = trace(Silent())
    assert steps.slipped is not None
    assert len(steps_of(steps)) == 4
    assert same_bits(records(steps, 3)["change of line/kernel"], records(looped, 3)["change of line/kernel"])


def test_fewer_and_more_log_keys_are_kept_as_they_came_back(trace: Tracer) -> None:
    """Returned is what the step returned; the epoch reports that, too."""

    def step(model: keras.Model, data: Any) -> Logs:
        own_step(model, data)
        return {"loss": 5.0, "extra": tf.constant([1.0, 2.0])}

    steps = trace(step)
    found = records(steps)
    assert found["returned names"] == found["reported names"] == "extra, loss"
    assert float(found["returned loss"]) == 5.0
    assert found["returned extra"].tolist() == [1.0, 2.0]
    assert records(steps, 0, "epoch")["epoch's names"] == "extra, loss"


# --- Models, data and optimizers --------------------------------------------------------------------------


def two_headed(form: str) -> keras.Model:
    first, second = keras.Input((3,), name="first"), keras.Input((2,), name="second")
    hidden = keras.layers.Concatenate()([first, second])
    heads = {name: keras.layers.Dense(size, name=name)(hidden) for name, size in (("large", 2), ("small", 1))}
    outputs = heads if form == "dict" else list(heads.values())
    return keras.Model({"first": first, "second": second} if form == "dict" else [first, second], outputs)


@pytest.mark.parametrize("form", ["dict", "tuple"])
@pytest.mark.parametrize("way", ["compiled-fit", own_loop])
def test_several_inputs_and_outputs_are_kept_leaf_by_leaf(trace: Tracer, form: str, way: Any) -> None:
    """By their place, and each loss by itself."""
    x: Any = {"first": X, "second": Y}
    y: Any = {"large": Y, "small": Y[:, :1]}
    loss: Any = {"large": "mse", "small": "mae"}
    if form == "tuple":
        x, y, loss = tuple(x.values()), tuple(y.values()), list(loss.values())
    dataset = kerasx.Dataset(Arrays(x, y))
    steps = trace(way, model=lambda: two_headed(form), dataset=dataset, loss=loss, metrics=[])
    assert steps.slipped is None
    found = records(steps)
    places = [("first", "large"), ("second", "small")] if form == "dict" else [("0", "0"), ("1", "1")]
    for (of_x, of_y), x_rows, y_rows in zip(places, (X, Y), (Y, Y[:, :1]), strict=True):
        np.testing.assert_array_equal(found[f"batch x[{of_x}]"], x_rows[:4])
        np.testing.assert_array_equal(found[f"batch y[{of_y}]"], y_rows[:4])
        np.testing.assert_array_equal(found[f"y of the loss[{of_y}]"], y_rows[:4])
        assert found[f"outputs[{of_y}]"].shape == y_rows[:4].shape
    errors = [np.mean((found[f"outputs[{places[0][1]}]"] - Y[:4]) ** 2)]
    errors.append(np.mean(np.abs(found[f"outputs[{places[1][1]}]"] - Y[:4, :1])))
    assert float(found["loss"]) == pytest.approx(sum(errors), rel=1e-5)


def test_sparse_gradients_are_kept_as_whole_arrays(trace: Tracer) -> None:
    """Of an embedding, whose rows that occur twice are added up."""

    def model() -> keras.Model:
        inputs = keras.Input((3,), dtype="int32")
        embedding = keras.layers.Embedding(6, 2, name="words", embeddings_initializer="zeros")
        return keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(embedding(inputs)))

    words = np.array([[1, 1, 2]] * 4, "int32")
    found = records(trace(model=model, dataset=(words, Y[:4])))
    gradient = found["gradient of words/embeddings"]
    each = -2 * Y[:4].sum(axis=0) / 8 / 3
    np.testing.assert_allclose(gradient, np.stack([0 * each, 2 * each, each] + 3 * [0 * each]), rtol=1e-5)
    np.testing.assert_allclose(found["change of words/embeddings"], -0.1 * gradient, rtol=1e-5)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64"])
def test_precisions_keep_their_dtypes(trace: Tracer, precision: str) -> None:
    """Variables and outputs in their own; the loss of a scaled optimizer is the unscaled one."""
    steps = trace(precision=precision)
    assert steps.slipped is None
    found = records(steps)
    policy = keras.DTypePolicy(precision)
    assert found["outputs"].dtype.name == policy.compute_dtype
    assert found["initial value of line/kernel"].dtype.name == policy.variable_dtype
    assert found["gradient of line/kernel"].dtype.name == policy.variable_dtype
    error = found["outputs"].astype("float64") - Y[:4]
    assert float(found["loss"]) == pytest.approx(np.mean(error**2), rel=0.02)
    change = found["change of line/kernel"]
    assert change.dtype == "float64"
    scale = 1.0
    if precision == "mixed_float16":
        assert found["optimizer"] == "LossScaleOptimizer"
        scale = next(float(value) for name, value in found.items() if name.endswith("dynamic_scale"))
        assert scale > 1
    np.testing.assert_allclose(
        change, -0.1 * found["gradient of line/kernel"].astype("float64") / scale, rtol=0.05, atol=2e-3
    )


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_a_loss_in_half_precision_is_kept_in_it(trace: Tracer, precision: str) -> None:
    """As a hand-written step computes it, which casts nothing."""

    def step(model: keras.Model, data: Any) -> Logs:
        x, y = (tf.cast(part, precision) for part in data)
        by_apply(model, x, y)
        return {"loss": 0.0}

    found = records(trace(step, precision=precision, metrics=[]))
    assert found["loss"].dtype.name == found["dtype of the loss"] == precision
    error = found["outputs"].astype("float64") - Y[:4]
    assert float(found["loss"]) == pytest.approx(np.mean(error**2), rel=0.03)


def test_sample_weights_are_kept_and_weigh_the_loss(trace: Tracer) -> None:
    """As data, and in what the loss is made of."""
    weights = np.arange(7, dtype="float32")
    found = records(trace(dataset=(X, Y, weights)))
    np.testing.assert_array_equal(found["batch sample_weight"], weights[:4])
    np.testing.assert_array_equal(found["sample_weight of the loss"], weights[:4])
    rows = np.mean((found["outputs"] - Y[:4]) ** 2, axis=1)
    assert float(found["loss"]) == pytest.approx(np.mean(rows * weights[:4]), rel=1e-5)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("way", ["compiled-fit", "gradient-tape", own_loop])
def test_a_pipeline_is_traced_by_what_steps_were_given(trace: Tracer, way: Any, known: bool) -> None:
    """The first batches of it; also one that does not tell its length."""
    pipeline = tf.data.Dataset.from_tensor_slices((MANY_X, MANY_Y)).batch(BATCH_SIZE)
    if not known:
        pipeline = pipeline.filter(lambda x, y: True)
    steps = trace(way, dataset=pipeline)
    assert steps.slipped is None
    assert [(step.epoch, step.step) for step in steps_of(steps)] == [(e, n) for e in (0, 1) for n in range(3)]
    for number in range(6):
        start = number % 3 * 4
        inputs = records(steps, number)["inputs of the first forward pass"]
        np.testing.assert_array_equal(inputs, MANY_X[start : start + 4])


def test_averaged_weights_are_slots_and_end_up_in_the_model(trace: Tracer) -> None:
    """With `use_ema`; what the training came to is what `fit` leaves."""
    optimizer = {"name": "sgd", "learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.5}
    steps, fitted = (trace(way, optimizer=optimizer) for way in (own_loop, "compiled-fit"))
    found = records(steps, 3)
    average = next(name for name in found if name.startswith("slot ") and "average" in name)
    assert found[average].shape in ((3, 2), (2,))
    final = outcome(steps)["line/kernel after training"]
    assert any(same_bits(final, value) for name, value in found.items() if "average" in name)
    assert same_bits(final, outcome(fitted)["line/kernel after training"])


def test_accumulated_gradients_change_weights_every_other_step(trace: Tracer) -> None:
    """With `gradient_accumulation_steps=2`: the accumulators are slots."""
    optimizer = {"name": "sgd", "learning_rate": 0.1, "gradient_accumulation_steps": 2}
    steps = trace(optimizer=optimizer)
    changed = [bool(records(steps, number)["change of line/kernel"].any()) for number in range(4)]
    assert changed == [False, True, False, True]
    gradients = [records(steps, number)["gradient of line/kernel"] for number in range(2)]
    expected = -0.1 * (gradients[0] + gradients[1]) / 2
    np.testing.assert_allclose(records(steps, 1)["change of line/kernel"], expected, rtol=1e-4, atol=1e-7)
    slots = [name for name in records(steps) if name.startswith("slot ") and "accumulator" in name]
    accumulator = next(name for name in slots if "kernel" in name)
    assert same_bits(records(steps)[accumulator], gradients[0])


def test_a_schedule_shows_in_the_changes(trace: Tracer) -> None:
    """The rate of each step is that of the schedule."""
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([0, 1], [0.1, 0.01, 0.0])
    steps = trace(optimizer=keras.optimizers.SGD(rate))
    for number, expected in enumerate([0.1, 0.01, 0.0, 0.0]):
        found = records(steps, number)
        change = -expected * found["gradient of line/kernel"]
        np.testing.assert_allclose(found["change of line/kernel"], change, rtol=1e-4, atol=1e-7)
    assert records(steps, 2)["gradient of line/kernel"].any()


def test_a_variable_without_gradient_is_said_to_have_none(trace: Tracer) -> None:
    """Where the tape gave none, and the optimizer was given none."""

    def step(model: keras.Model, x: Any, y: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model.get_layer("line").kernel ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        pairs = zip(gradients, model.trainable_variables, strict=True)
        model.optimizer.apply_gradients([pair for pair in pairs if pair[0] is not None])

    found = records(trace(gradient_step(step), metrics=[]))
    assert found["tape gradient of line/bias"] == "none"
    assert "gradient of line/bias" not in found
    np.testing.assert_allclose(found["gradient of line/kernel"], 2 * found["initial value of line/kernel"])


@pytest.mark.parametrize("part", ["model", "optimizer", "metrics", "loss"])
def test_objects_do_not_carry_over_from_one_trace_to_the_next(trace: Tracer, part: str) -> None:
    """A model that was handed over is as it was; two sides that share it begin alike."""
    made: dict[str, Any] = {
        "model": linear_model(),
        "optimizer": keras.optimizers.Adam(0.01),
        "metrics": [keras.metrics.MeanAbsoluteError(name="mae")],
        "loss": keras.losses.MeanSquaredError(),
    }
    weights = made["model"].get_weights()
    fields = {part: made[part]}
    assert unequal(trace(**fields), trace(**fields)) == []
    assert all(map(same_bits, weights, made["model"].get_weights()))


@pytest.mark.parametrize("way", ["custom-step", own_loop], ids=["custom-step", "loop"])
def test_tracing_changes_nothing(trace: Tracer, tmp_path: Path, way: Any) -> None:
    """An untraced training of two epochs arrives at the same bits, and reports the same."""
    steps = trace(way, **RICH)
    run = kerasx.Engine(runs=tmp_path).train(experiment(way, **RICH, epochs=2))
    found = outcome(steps)
    for name, variable in state_variables(run.model)[: len(run.model.variables)]:
        assert same_bits(found[f"{name} after training"], variable.numpy()), name
    for epoch in (0, 1):
        reported = records(steps, epoch, "epoch")
        for name, values in run.history.items():
            assert float(reported[f"epoch's {name}"]) == values[epoch]


def test_a_frozen_layer_is_no_part_of_what_is_trained(trace: Tracer) -> None:
    """It has no gradient and its change is one of the state."""

    def model() -> keras.Model:
        made = rich_model()
        made.get_layer("hidden").trainable = False
        return made

    step = steps_of(trace(model=model))[0]
    assert "hidden/kernel" not in str(step.records["trained variables"].value)
    assert "gradient of hidden/kernel" not in step.records
    assert step.records["change of hidden/kernel"].stage == "state"
    assert step.records["change of scores/kernel"].stage == "update"


# --- Lockstep ---------------------------------------------------------------------------------------------


def test_states_of_another_side_are_set_before_each_step(trace: Tracer, leader: Steps) -> None:
    """Weights, slots and seeds: what one step does wrong is not in the next one."""

    def wrong(model: keras.Model, data: Any) -> Logs:
        logs = own_step(model, data)
        next(v for _, v in state_variables(model) if v.path.endswith("seed_generator_state")).assign([2, 99])
        for variable in model.optimizer.variables:
            if "velocity" in variable.path:
                variable.assign(variable * 3)
        model.trainable_variables[0].assign_add(tf.ones(model.trainable_variables[0].shape))
        return logs

    alone, led = trace(wrong, **RICH), trace(wrong, states=leader.states, **RICH)
    assert led.slipped is None
    assert len(led.states) == len(leader.states)
    for ours, theirs in zip(led.states, leader.states, strict=True):
        assert all(map(same_bits, ours.values, theirs.values))
    for number in range(len(steps_of(leader))):
        ours, theirs = records(led, number), records(leader, number)
        held = ("outputs", "gradient of", "tape gradient of", "change of scores")
        for name in theirs:
            if name == "loss" or name.startswith(held):
                assert same_bits(ours[name], theirs[name]), name
        assert not same_bits(ours["change of hidden/kernel"], theirs["change of hidden/kernel"])
        velocity = theirs["slot scores_kernel_velocity"]
        np.testing.assert_allclose(ours["slot scores_kernel_velocity"], 3 * velocity, rtol=1e-5)
    assert not same_bits(records(alone, 1)["loss"], records(leader, 1)["loss"])


@pytest.mark.parametrize("way", ["loop", "strategy", "gradient-tape", "compiled-fit"])
def test_every_kind_of_training_can_be_led(trace: Tracer, leader: Steps, way: str) -> None:
    """From states that it would not have come to by itself, in training and evaluation."""
    moved = [
        replace(state, values=tuple(v + np.ones((), v.dtype) * (v.dtype.kind == "f") for v in state.values))
        for state in leader.states
    ]
    led = trace(RICH_WAYS[way], states=moved, **RICH)
    assert led.slipped is None
    assert len(led.states) == len(moved) == 6
    for ours, theirs in zip(led.states, moved, strict=True):
        assert all(map(same_bits, ours.values, theirs.values))
    change = records(led, 1)["change of hidden/kernel"]
    assert 0 < np.abs(change).max() < 0.5  # from the state that was set, not from where the step before ended
    np.testing.assert_array_equal(records(led, 0, "evaluation")["change of hidden/kernel"], 0)


def test_the_learning_rate_is_not_set(trace: Tracer, leader: Steps) -> None:
    """As it may be what two sides differ in."""
    led = trace(states=leader.states, **{**RICH, "optimizer": {"name": "adam", "learning_rate": 0.03}})
    for number in range(len(steps_of(leader))):
        ours, theirs = records(led, number), records(leader, number)
        assert float(ours["learning_rate"]) == pytest.approx(0.03)
        assert same_bits(ours["gradient of scores/kernel"], theirs["gradient of scores/kernel"])
        np.testing.assert_allclose(
            ours["change of scores/kernel"], 3 * theirs["change of scores/kernel"], rtol=1e-3, atol=1e-6
        )


def test_states_of_another_model_are_left_alone(trace: Tracer) -> None:
    """Where shapes differ, the steps begin with the model's own."""

    def smaller() -> keras.Model:
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])

    states = trace(model=smaller, dataset=(X, Y[:, :1])).states
    assert unequal(trace(), trace(states=states)) == []


def ordered(value: Any) -> Any:
    """Numbers of neighbouring floats are neighbouring integers."""
    integers = value.view(f"i{value.dtype.itemsize}").astype("int64")
    return np.where(integers < 0, np.int64(np.iinfo(f"i{value.dtype.itemsize}").min) - integers, integers)


DTYPES = ["float16", "float32", "float64", ml_dtypes.bfloat16]


@given(
    data=st.data(),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 2**32 - 1),
    step=st.integers(0, 10**6),
)
@settings(max_examples=40)
def test_a_disturbance_moves_each_weight_by_one_unit_and_nothing_else(
    data: Any, dtype: Any, seed: int, step: int
) -> None:
    """In its own dtype; integers, and what is the optimizer's, stay."""
    wide = data.draw(
        hnp.arrays("float64", hnp.array_shapes(max_dims=2, max_side=6), elements=st.floats(-60000, 60000))
    )
    weights = wide.astype(dtype)
    integers = np.arange(3, dtype="int64")
    state = FullState(("a", "seed", "slot"), (weights, integers, weights), 2)
    found = Disturbance(seed)(state, step)
    assert found.values[0].dtype == weights.dtype
    assert found.values[0].shape == weights.shape
    assert (np.abs(ordered(found.values[0]) - ordered(weights)) == 1).all()
    assert found.values[1] is integers
    assert found.values[2] is weights
    assert (found.names, found.own) == (state.names, state.own)
    again = Disturbance(seed)(state, step)
    assert same_bits(found.values[0], again.values[0])


def test_disturbances_differ_by_seed_and_step() -> None:
    """In the directions, of which there are both."""
    state = FullState(("a",), (np.ones(100, "float32"),), 1)
    moved = [Disturbance(seed)(state, step).values[0] for seed, step in ((1, 0), (1, 1), (2, 0))]
    assert all(set(np.unique(each)) == {np.float32(1 - 2**-24), np.float32(1 + 2**-23)} for each in moved)
    assert not any(same_bits(moved[a], moved[b]) for a, b in ((0, 1), (0, 2), (1, 2)))


def test_a_disturbed_training_starts_each_step_from_the_disturbed_state(trace: Tracer, leader: Steps) -> None:
    """And is near the undisturbed one, but not equal to it."""
    disturbance = Disturbance(3)
    steps = trace(states=leader.states, disturbance=disturbance, **RICH)
    for number, (state, base) in enumerate(zip(steps.states, leader.states, strict=True)):
        assert all(map(same_bits, state.values, disturbance(base, number).values))
    assert unequal(leader, steps)
    np.testing.assert_allclose(records(steps)["loss"], records(leader)["loss"], rtol=1e-5)


# --- Names of the state -----------------------------------------------------------------------------------


def numbered_model(layer: type[keras.layers.Layer], optimizer: Any, before: int, swapped: bool) -> list[str]:
    """Names of a model's state, built after so many layers of its kind."""
    for _ in range(before):
        layer(1)
    inputs = keras.Input((3,))
    first, second = layer(4), layer(2)
    if swapped:
        first, second = second, first
    model = keras.Model(inputs, second(keras.layers.BatchNormalization()(first(inputs))))
    model.compile(optimizer(), "mse")
    model.optimizer.build(model.trainable_variables)
    return [name for name, _ in state_variables(model)]


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()),
}


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_names_do_not_depend_on_what_was_built_before(optimizer: str, swapped: bool) -> None:
    """Of variables and of slots, whatever number Keras has arrived at, in whatever order layers were made."""
    layer = type("Counted", (keras.layers.Dense,), {})
    # A name of its own, so that the first one is the first of the process.
    layer.__name__ = f"Counted{optimizer.title()}{'Swapped' if swapped else ''}"
    found = [numbered_model(layer, OPTIMIZERS[optimizer], before, swapped) for before in (1, 0, 0, 7)]
    assert all(names == found[0] for names in found)
    assert len(set(found[0])) == len(found[0])
    assert any("kernel_mom" in name for name in found[0])


@pytest.mark.parametrize("before", range(4))
def test_names_are_unique_and_tell_layers_apart_at_any_number(before: int) -> None:
    """Where the second layer was made first: its name must not become that of the other."""
    layer = type(f"Turned{before}", (keras.layers.Dense,), {})
    expected = numbered_model(layer, OPTIMIZERS["adam"], 0, True)
    layer = type(f"Turned{before}More", (keras.layers.Dense,), {})
    names = numbered_model(layer, OPTIMIZERS["adam"], before, True)
    assert [name.replace(f"turned{before}_more", f"turned{before}") for name in names] == expected


def test_states_are_set_across_builds_of_one_model() -> None:
    """Slots by name: a trained model's state makes another build of it the same."""

    def build(rows: int) -> keras.Model:
        model = compiled(rich_model(), optimizer=keras.optimizers.Adam(0.1))
        model.fit(MANY_X[:rows], MANY_Y[:rows], verbose=0, batch_size=4)
        return model

    one, other = build(8), build(4)
    state = read_state(one)
    assert not all(map(same_bits, state.values, read_state(other).values))
    set_state(other, state)
    after = read_state(other)
    assert after.names == state.names
    assert all(map(same_bits, after.values, state.values))


# --- Storage ----------------------------------------------------------------------------------------------

SCALARS = [*DTYPES, "bool", "int8", "int32", "int64", "uint8", "uint32", ml_dtypes.float8_e4m3fn]


def raw_arrays(draw: Any) -> Any:
    """An array of any bits of any dtype: empty ones, infinities and NaN, too."""
    dtype = np.dtype(draw(st.sampled_from(SCALARS)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
    size = int(np.prod(shape, dtype="int64"))
    if dtype.kind == "b":
        return np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)), "bool").reshape(shape)
    data = draw(st.binary(min_size=size * dtype.itemsize, max_size=size * dtype.itemsize))
    return np.frombuffer(data, f"u{dtype.itemsize}").view(dtype).reshape(shape)


values = st.composite(raw_arrays)() | st.text(max_size=12)


def stored(contents: dict[str, Any], states: list[FullState] | None = None) -> Steps:
    step = StepTrace(0, 3, "training")
    for name, value in contents.items():
        step.add("data", name, value, "decides")
    end = StepTrace(1, None, "epoch", {"told": Record("report", "text", "notes")})
    return Steps(Trace("side", [step, end], {"seed": 3}), states or [], "said so")


@given(st.dictionaries(st.text(min_size=1, max_size=8), values, max_size=5), st.data())
@settings(max_examples=40)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_saved_is_what_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, Any], data: Any
) -> None:
    """Bit by bit, with dtypes and shapes; states and noise, too."""
    array = data.draw(st.composite(raw_arrays)())
    steps = stored(contents, [FullState(("a", "b"), (array, np.zeros(2)), 1)])
    path = tmp_path_factory.mktemp("saved") / "trace"
    save_trace(path, steps, {("training", "loss"): 0.25})
    loaded, noise = load_trace(path)
    assert noise == {("training", "loss"): 0.25}
    assert (loaded.trace.name, loaded.trace.about, loaded.slipped) == ("side", {"seed": 3}, "said so")
    assert [(s.epoch, s.step, s.kind) for s in loaded.trace.steps] == [
        (0, 3, "training"),
        (1, None, "epoch"),
    ]
    for ours, theirs in zip(steps.trace.steps, loaded.trace.steps, strict=True):
        assert list(ours.records) == list(theirs.records)
        for name, record in ours.records.items():
            assert same_bits(record.value, theirs.records[name].value)
            assert (record.stage, record.role) == (
                theirs.records[name].stage,
                theirs.records[name].role,
            )
    (state,) = loaded.states
    assert (state.names, state.own) == (("a", "b"), 1)
    assert same_bits(state.values[0], array)


@pytest.fixture
def saved(trace: Tracer, tmp_path: Path) -> tuple[Steps, Path]:
    """A real trace, and where it was saved."""
    steps = trace()
    save_trace(tmp_path / "trace", steps, {})
    return steps, tmp_path / "trace"


@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "bfloat16"])
def test_a_real_trace_comes_back_whole(trace: Tracer, tmp_path: Path, precision: str) -> None:
    """It can be compared, and its states can lead another training."""
    steps, path = trace(precision=precision), tmp_path / "trace"
    save_trace(path, steps, {})
    assert sorted(each.name for each in path.iterdir()) == ["arrays.npz", "trace.json"]
    loaded, _ = load_trace(path)
    assert unequal(steps, loaded) == []
    assert differences(steps.trace, loaded.trace) == []
    assert [step.records.keys() for step in loaded.trace.steps] == [
        step.records.keys() for step in steps.trace.steps
    ]
    led = trace(precision=precision, states=loaded.states)
    assert unequal(steps, led) == []


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_large_arrays_are_kept_by_digest_and_norm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the bound is reached: the folder is small, and a difference in them is still found.

    A state that does not fit is not kept: nothing could begin with a part of it.
    """
    large = np.random.RandomState(1).randn(20000).astype("float32")
    steps = stored({"large": large, "small": np.arange(4.0)}, [FullState(("v",), (large,), 1)])
    monkeypatch.setattr(storage, "MOST_BYTES", 4000)
    save_trace(tmp_path / "trace", steps, {})
    assert sum(each.stat().st_size for each in (tmp_path / "trace").iterdir()) < 6000
    loaded, _ = load_trace(tmp_path / "trace")
    found = loaded.trace.steps[0].records
    value = found["large"].value
    assert isinstance(value, Reduced)
    assert (value.shape, value.dtype) == ((20000,), "float32")
    assert value.norm == pytest.approx(float(np.linalg.norm(large.astype("float64"))))
    assert value.largest == float(np.abs(large).max())
    assert same_bits(found["small"].value, np.arange(4.0))
    assert loaded.states == []
    assert differences(steps.trace, loaded.trace) == []
    other = stored({"large": large * 2, "small": np.arange(4.0)})
    (difference,) = differences(other.trace, loaded.trace)
    assert difference.quantity == "large"
    # Sixteen products with random signs estimate a distance to about a fifth.
    assert difference.relative == pytest.approx(0.5, rel=0.5)


@pytest.mark.parametrize("change", [lambda array: array[::-1], lambda array: -array])
def test_large_arrays_of_the_same_norm_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], Any]
) -> None:
    large = np.random.RandomState(1).randn(20000).astype("float32")
    monkeypatch.setattr(storage, "MOST_BYTES", 1000)
    save_trace(tmp_path / "trace", stored({"large": large}), {})
    loaded, _ = load_trace(tmp_path / "trace")
    noise = {("training", "large"): 1e-6}
    (difference,) = differences(stored({"large": change(large).copy()}).trace, loaded.trace, noise)
    assert difference.beyond
    unit = np.nextafter(large, np.float32(np.inf))
    (difference,) = differences(stored({"large": unit}).trace, loaded.trace, noise)
    assert not difference.beyond


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("odd", [np.inf, np.nan])
def test_large_arrays_that_are_not_finite_can_be_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: float
) -> None:
    """As gradients that overflow are: saved by digest, loaded, and compared with others."""
    large = np.full(5000, odd, "float32")
    monkeypatch.setattr(storage, "MOST_BYTES", 1000)
    save_trace(tmp_path / "trace", stored({"large": large}), {})
    loaded, _ = load_trace(tmp_path / "trace")
    assert differences(stored({"large": large}).trace, loaded.trace) == []
    (difference,) = differences(stored({"large": np.ones(5000, "float32")}).trace, loaded.trace, {})
    assert difference.beyond
    assert reduced(large).digest == loaded.trace.steps[0].records["large"].value.digest  # type: ignore[union-attr]


def test_a_model_of_texts_can_be_saved(trace: Tracer, tmp_path: Path) -> None:
    """Rows of text are data as any other."""

    def model() -> keras.Model:
        inputs = keras.Input((1,), dtype="string")
        looked_up = keras.layers.StringLookup(vocabulary=["a", "b"])(inputs)
        words = keras.layers.Flatten()(keras.layers.Embedding(3, 2)(looked_up))
        return keras.Model(inputs, keras.layers.Dense(2)(words))

    texts = np.array([["a"], ["b"], ["a"], ["c"]])
    steps = trace(model=model, dataset=(texts, Y[:4]))
    save_trace(tmp_path / "trace", steps, {})
    loaded, _ = load_trace(tmp_path / "trace")
    assert differences(steps.trace, loaded.trace) == []
    assert "batch x" in records(loaded)


def test_no_pickle_is_read(saved: tuple[Steps, Path], tmp_path: Path) -> None:
    """A trace from elsewhere runs no code here: an array of objects is refused before it is one."""
    _, path = saved
    ran = tmp_path / "ran"

    class Harmful:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(ran),)

    with np.load(path / "arrays.npz") as arrays:
        names = arrays.files
    np.savez(path / "arrays.npz", allow_pickle=True, **{n: np.array([Harmful()], object) for n in names})
    with pytest.raises(kerasx.UsageError, match="damaged"):
        load_trace(path)
    assert not ran.exists()


def test_nothing_that_is_written_is_a_pickle(saved: tuple[Steps, Path]) -> None:
    """Each array can be read without."""
    _, path = saved
    with np.load(path / "arrays.npz", allow_pickle=False) as arrays:
        assert arrays.files
        assert all(arrays[name].dtype.kind in "biufcU" for name in arrays.files)
    json.loads((path / "trace.json").read_text())


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF  # within the first array's data
    path.write_bytes(bytes(content))


def edited(path: Path, **fields: Any) -> None:
    file = path / "trace.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "cut json": lambda path: cut(path / "trace.json"),
    "empty json": lambda path: (path / "trace.json").write_text(""),
    "a list": lambda path: (path / "trace.json").write_text("[]"),
    "no text": lambda path: (path / "trace.json").write_bytes(b"\xff\xfe\x00"),
    "cut npz": lambda path: cut(path / "arrays.npz"),
    "no npz": lambda path: (path / "arrays.npz").unlink(),
    "npz is text": lambda path: (path / "arrays.npz").write_text("text"),
    "a flipped byte": lambda path: flip(path / "arrays.npz"),
    "arrays are missing": lambda path: np.savez(path / "arrays.npz", other=np.zeros(1)),
    "steps are numbers": lambda path: edited(path, steps=[1, 2]),
    "states are missing": lambda path: edited(path, states=None),
    "noise is text": lambda path: edited(path, noise=["a", "b"]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_trace_is_refused(saved: tuple[Steps, Path], damage: str) -> None:
    """With one message that names it, whatever is wrong with it."""
    _, path = saved
    load_trace(path)
    DAMAGES[damage](path)
    with pytest.raises(kerasx.UsageError, match="damaged") as raised:
        load_trace(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_trace_of_another_format_is_refused(saved: tuple[Steps, Path]) -> None:
    """Naming both numbers."""
    _, path = saved
    edited(path, format=99)
    with pytest.raises(kerasx.UsageError, match=f"format 99.*reads {storage.FORMAT}"):
        load_trace(path)


def test_no_folder_is_overwritten(saved: tuple[Steps, Path]) -> None:
    """Be it a trace or anything else."""
    steps, path = saved
    before = {each.name: each.read_bytes() for each in path.iterdir()}
    with pytest.raises(kerasx.UsageError, match="exists"):
        save_trace(path, steps, {})
    assert {each.name: each.read_bytes() for each in path.iterdir()} == before
    (path.parent / "empty").mkdir()
    with pytest.raises(kerasx.UsageError, match="exists"):
        save_trace(path.parent / "empty", steps, {})


FAILURES = [OSError(28, "No space left"), MemoryError(), KeyboardInterrupt()]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_a_failed_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Not even half a folder beside it; a full disk is said to be one."""

    def fails(path: str, **arrays: Any) -> None:
        Path(path).write_bytes(b"half")
        raise error

    monkeypatch.setattr(np, "savez_compressed", fails)
    expected = kerasx.UsageError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        save_trace(tmp_path / "trace", stored({"a": np.zeros(3)}), {})
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_is_said(tmp_path: Path) -> None:
    """A file stands where a folder would have to be."""
    (tmp_path / "file").write_text("here")
    with pytest.raises(kerasx.UsageError, match="cannot be written"):
        save_trace(tmp_path / "file" / "trace", stored({}), {})


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    """As for run directories."""
    save_trace(tmp_path / "a" / "b" / "trace", stored({"a": np.zeros(3)}), {})
    assert load_trace(tmp_path / "a" / "b" / "trace")[0].trace.name == "side"


def test_the_private_list_of_what_an_optimizer_was_built_with_holds() -> None:
    """`apply` without variables takes these; nothing public tells of them."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    for optimizer in (keras.optimizers.SGD(), keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())):
        optimizer.build(model.trainable_variables)
        assert [id(each) for each in built_with(optimizer)] == [
            id(each) for each in model.trainable_variables
        ]


def test_the_private_walk_over_all_layers_holds() -> None:
    """Those within a layer are no part of a model's public list of its own."""
    inputs = keras.Input((4, 2))
    attention = keras.layers.MultiHeadAttention(2, 3, dropout=0.1)
    model = keras.Model(inputs, attention(inputs, inputs))
    found = all_layers(model)
    assert found[0] is model
    assert attention in found
    assert [each for each in found if isinstance(each, keras.layers.Dropout)]
    assert not [each for each in model.layers if isinstance(each, keras.layers.Dropout)]
