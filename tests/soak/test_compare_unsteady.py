"""Sides that do not repeat themselves, change weights between steps, or round coarsely; traces cut short."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparing import FIELDS, working_in

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

from kerasx.parity import storage  # noqa: E402
from kerasx.parity.noise import Disturbance  # noqa: E402
from kerasx.parity.state import FullState  # noqa: E402

MINE = """
import keras
import numpy as np
import tensorflow as tf

ACCURACY = keras.metrics.SparseCategoricalAccuracy(name="accuracy")


def data():
    x = np.random.default_rng(3).normal(size=(40, 6)).astype("float32")
    return {"x_train": x, "y_train": x[:, :2].copy()}


def classes():
    x = data()["x_train"]
    y = (x[:, 0] > 0).astype("int32")
    return {"x_train": x, "y_train": y, "x_test": x, "y_test": y}


def build():
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(2)])


def normalized():
    normalize = keras.layers.BatchNormalization()
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(4), normalize, keras.layers.Dense(2)])


def attentive():
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(4)(keras.layers.Reshape((6, 1))(inputs))
    hidden = keras.layers.MultiHeadAttention(2, 4, dropout=0.1)(hidden, hidden)
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(hidden)))


def trained(model, x, y, scale=1.0, optimizer=None):
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x=x, y=y, y_pred=model(x, training=True), training=True)
    gradients = [scale * each for each in tape.gradient(loss, model.trainable_variables)]
    (optimizer or model.optimizer).apply(gradients, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.get_metrics_result()


def noisy(model, batches, scale=1.0):
    stream = np.random.default_rng()
    for x, y in batches:
        logs = trained(model, x + 0.05 * stream.normal(size=x.shape).astype("float32"), y, scale)
    return logs


def noisy_and_doubled(model, batches):
    return noisy(model, batches, 2.0)


def averaging(model, batches):
    before = [each.numpy() for each in model.trainable_variables]
    for x, y in batches:
        logs = trained(model, x, y)
    for variable, old in zip(model.trainable_variables, before):
        variable.assign(0.5 * variable + 0.5 * old)
    return logs


def copying_back(model, batches):
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    for x, y in batches:
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x, y, clone(x, training=True))
        gradients = tape.gradient(loss, clone.trainable_variables)
        for variable, gradient in zip(clone.trainable_variables, gradients):
            variable.assign_sub(0.01 * gradient)
        model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    model.set_weights(clone.get_weights())
    return model.get_metrics_result()


def with_a_new_optimizer(model, batches):
    optimizer = keras.optimizers.SGD(0.01)
    for x, y in batches:
        logs = trained(model, x, y, optimizer=optimizer)
    return logs


def in_halves(model, data, scale=1.0):
    x, y = data
    rows = tf.shape(x)[0]
    total = 0.0
    sums = [tf.zeros_like(each) for each in model.trainable_variables]
    for half in (slice(None, rows // 2), slice(rows // 2, None)):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x[half], y[half], model(x[half], training=True))
            share = scale * loss * tf.cast(tf.shape(x[half])[0], "float32") / tf.cast(rows, "float32")
        sums = [a + b for a, b in zip(sums, tape.gradient(share, model.trainable_variables))]
        total += share / scale
    model.optimizer.apply(sums, model.trainable_variables)
    model.metrics[0].update_state(total, sample_weight=rows)
    return model.get_metrics_result()


def in_halves_and_tripled(model, data):
    return in_halves(model, data, 3.0)


def in_two_applies(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x=x, y=y, y_pred=model(x, training=True))
    first, *rest = tape.gradient(loss, model.trainable_variables)
    variables = model.trainable_variables
    model.optimizer.apply([tf.zeros_like(first), *rest], variables)
    model.optimizer.apply([first, *map(tf.zeros_like, rest)], variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.get_metrics_result()


def module_metrics(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x, training=True))
    model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    ACCURACY.update_state(y, model(x))
    return {"loss": 1.0, "accuracy": ACCURACY.result()}
"""


@pytest.fixture(autouse=True, scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with working_in(tmp_path_factory.mktemp("mine"), MINE) as folder:
        yield folder


def compared(*names: str, vary: Any = None, **values: Any) -> kerasx.Comparison:
    return kerasx.Engine().compare(*names, experiment=kerasx.Experiment(**{**FIELDS, **values}), vary=vary)


def pair_of(*names: str, **values: Any) -> kerasx.Pair:
    (pair,) = compared(*names, **values).pairs
    return pair


@pytest.mark.parametrize("other", ["mine.py:noisy", "mine.py:noisy_and_doubled"])
def test_what_is_drawn_anew_is_no_noise_of_rounding(other: str) -> None:
    """Two trainings on other data are not equal, whether or not something else hides among it."""
    result = compared("mine.py:noisy", other)
    (pair,) = result.pairs
    assert (pair.verdict, pair.affects) == ("diverged", "training")
    assert pair.first_difference is not None
    assert pair.first_difference.stage == "data"
    assert [note for note in result.notes if "does not repeat itself" in note]


def test_an_explanation_does_not_take_it_for_agreement() -> None:
    found = kerasx.Engine().explain(
        "custom-step", "mine.py:noisy_and_doubled", experiment=kerasx.Experiment(**FIELDS)
    )
    assert found.verdict == "diverged"
    assert found.unexplained


def test_random_numbers_within_layers_of_layers_are_switched_off() -> None:
    pair = pair_of("compiled-fit", model="mine.py:attentive", execution="graph", vary={"jit": [False, True]})
    assert pair.first_difference is not None
    assert pair.first_difference.quantity == "random numbers"


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_rounding_of_a_narrower_dtype_is_no_difference(precision: str) -> None:
    pair = pair_of("compiled-fit", precision=precision, execution="graph", vary={"jit": [False, True]})
    assert pair.verdict in ("equivalent", "identical"), pair.said


def test_a_disturbance_in_a_narrower_dtype_is_one_of_its_units() -> None:
    value = np.array([0.0, 1.0, 1.5, -3.0, 1e-3], "float32")
    moved = Disturbance(1, unit=2.0**-7)(FullState(("v",), (value,), 1), 0).values[0]
    exponents = np.array([2.0**-1, 1.0, 1.0, 2.0, 2.0**-10])
    assert moved.dtype == np.float32
    np.testing.assert_allclose(np.abs(moved - value)[1:], (exponents * 2.0**-7)[1:], rtol=1e-3)


def test_weights_that_are_changed_after_the_last_batch_are_seen_there() -> None:
    result = compared("custom-step", "mine.py:averaging")
    (pair,) = result.pairs
    assert pair.first_difference is not None
    assert pair.first_difference.stage == "update"
    assert pair.first_difference.quantity.endswith("as the epoch ends")
    assert result.notes == ()


def test_a_clone_that_is_copied_back_at_the_end_is_told_as_that() -> None:
    result = compared("custom-step", "mine.py:copying_back")
    assert result.agrees
    assert [note for note in result.notes if "trains something else than the model" in note]


def test_an_optimizer_that_each_epoch_makes_is_one_in_the_models_place() -> None:
    pair = pair_of("custom-step", "mine.py:with_a_new_optimizer", epochs=2)
    assert pair.verdict == "identical", pair.said


def test_a_batch_in_two_halves_is_no_other_data() -> None:
    assert pair_of("custom-step", "mine.py:in_halves").verdict == "equivalent"
    first = pair_of("custom-step", "mine.py:in_halves_and_tripled").first_difference
    assert first is not None
    assert (first.stage, round(first.ratio or 0, 3)) == ("gradient", 0.333)


@pytest.mark.parametrize("swapped", [False, True])
def test_several_updates_are_seen_from_either_side(swapped: bool) -> None:
    names = ["custom-step", "mine.py:in_two_applies"]
    first = pair_of(*(reversed(names) if swapped else names)).first_difference
    assert first is not None
    assert (first.stage, first.quantity) == ("update", "slot iteration")


def test_metrics_that_a_step_leaves_aside_do_not_keep_it_from_being_traced() -> None:
    loss = {"name": "sparse_categorical_crossentropy", "from_logits": True}
    values = {"metrics": ["accuracy"], "execution": "fused", "dataset": "mine.py:classes", "loss": loss}
    result = compared("custom-step", "mine.py:module_metrics", **values)
    assert not [note for note in result.notes if "not traced" in note]
    (pair,) = result.pairs
    assert pair.affects == "report"


def test_a_trace_that_is_too_large_is_compared_as_far_as_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = kerasx.Experiment(**{**FIELDS, "model": "mine.py:normalized"})
    monkeypatch.setattr(storage, "MOST_BYTES", 400)
    kerasx.Engine().trace("custom-step", tmp_path / "trace", experiment=experiment)
    result = kerasx.Engine().compare(
        str(tmp_path / "trace"), "mine.py:in_two_applies", "custom-step", experiment=experiment
    )
    assert [note for note in result.notes if "alone were kept with the trace" in note]
    verdicts = {pair.b: pair.verdict for pair in result.pairs if pair.a == str(tmp_path / "trace")}
    assert verdicts == {"mine.py:in_two_applies": "diverged", "custom-step": "identical"}
