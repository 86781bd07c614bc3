"""What programs do that makes them hard to compare, and must not be taken for a difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

MINE = '''
import keras
import numpy as np
import tensorflow as tf


def data():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(52, 6)).astype("float32")
    return {"x_train": x, "y_train": np.argmax(x[:, :3], axis=1)}


def build():
    layers = [keras.layers.Dense(8), keras.layers.BatchNormalization(momentum=0.9), keras.layers.Dense(3)]
    return keras.Sequential([keras.Input((6,)), *layers])


class Own(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.hidden = keras.layers.Dense(8, activation="relu")
        self.scores = keras.layers.Dense(3)

    def call(self, x):
        return self.scores(self.hidden(x))


class Other(Own):
    def call(self, x):
        return super().call(x) * 1.5


def own():
    return Own()


def same_by_another_name():
    return Own(name="somebody_elses")


def other_by_another_name():
    return Other()


def crossentropy(y, logits):
    """As Keras has it, written differently."""
    rows = tf.range(tf.shape(logits)[0], dtype=tf.int64)
    picked = tf.gather_nd(tf.nn.log_softmax(logits), tf.stack([rows, tf.cast(y, tf.int64)], axis=1))
    return -tf.reduce_sum(picked) / tf.cast(tf.shape(y)[0], tf.float32)


def stepped(model, data, scale=1.0, training=True, variables=lambda model: model.trainable_variables):
    x, y = data
    with tf.GradientTape() as tape:
        logits = model(x, training=True) if training else model(x)
        loss = crossentropy(y, logits) * scale
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(gradients, variables(model))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, logits)


def step(model, data):
    return stepped(model, data)


def iterating_step(model, data):
    return stepped(model, data, variables=lambda model: map(lambda each: each, model.trainable_variables))


def scaled_step_without_flag(model, data):
    return stepped(model, data, scale=0.1, training=False)


def pipeline():
    """Of a length that is not known."""
    rows = data()
    batches = tf.data.Dataset.from_tensor_slices((rows["x_train"], rows["y_train"])).batch(4)
    return batches.take(3).unbatch().batch(4)


def symbolic_step(model, data):
    """With `tf.gradients`, which there is in graphs alone."""
    x, y = data
    loss = crossentropy(y, model(x, training=True))
    values = [variable.value for variable in model.trainable_variables]
    model.optimizer.apply(tf.gradients(loss, values), model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.get_metrics_result()


def step_without_metrics(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        loss = crossentropy(y, model(x, training=True))
    model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.get_metrics_result()


def silent_step(model, data):
    step_without_metrics(model, data)
    return {}


def listing_loop(model, batches):
    mean = keras.metrics.Mean()
    for x, y in list(batches):
        with tf.GradientTape() as tape:
            loss = crossentropy(y, model(x, training=True))
        model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        mean.update_state(loss, sample_weight=tf.shape(x)[0])
    return {"loss": mean.result()}


class RateOfSecondEpoch(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch:
            self.model.optimizer.learning_rate.assign(1.0)
'''
SETTING = """
import keras
import tensorflow as tf
from mine import step

keras.config.set_epsilon(1e-5)
keras.config.set_floatx("float32")
keras.config.disable_traceback_filtering()
tf.config.run_functions_eagerly(True)
"""
FIELDS: dict[str, Any] = {
    "model": "mine.py:build",
    "dataset": "mine.py:data",
    "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
    "metrics": [],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "execution": "eager",
    "epochs": 2,
    "batch_size": 16,
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "setting.py").write_text(SETTING)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compared(*names: Any, **values: Any) -> tuple[kerasx.Pair, tuple[str, ...]]:
    result = kerasx.Engine().compare(*names, **{**FIELDS, **values})
    (pair,) = result.pairs
    return pair, result.notes


def test_variables_may_be_handed_over_as_an_iterator() -> None:
    """It can be gone through once, and that is the optimizer's."""
    pair, _ = compared("mine.py:step", "mine.py:iterating_step")
    assert pair.verdict == "identical"


def test_a_loop_that_lists_its_batches_leads() -> None:
    """The other side is kept in step with it: a bias without a gradient, of whose rounding Adam makes whole
    steps, is no difference."""
    pair, notes = compared("custom-step", "mine.py:listing_loop")
    assert pair.verdict == "equivalent"
    assert any("was not kept in lockstep" in note for note in notes)


def test_a_flag_that_changes_nothing_is_not_where_two_part() -> None:
    """What differs is the loss: the model has no layer that asks whether it is trained."""
    pair, _ = compared("custom-step", "mine.py:scaled_step_without_flag", model="mine.py:own")
    first = pair.first_difference
    assert first is not None
    assert (first.stage, first.quantity) == ("loss", "loss")
    assert first.ratio == pytest.approx(10.0, rel=1e-4)


@pytest.mark.parametrize(("model", "verdict"), [("same", "identical"), ("other", "diverged")])
def test_models_of_other_names_are_compared_variable_by_variable(model: str, verdict: str) -> None:
    base = kerasx.Experiment(**{**FIELDS, "model": "mine.py:own"})
    other = base.with_values(model=f"mine.py:{model}_by_another_name")
    (pair,) = kerasx.Engine().compare(base, other).pairs
    assert pair.verdict == verdict
    if verdict == "diverged":
        assert pair.affects == "training"


def test_epochs_that_a_training_does_not_have_are_not_judged() -> None:
    base = kerasx.Experiment(**{**FIELDS, "epochs": 1})
    other = base.with_values(callbacks=["mine.py:RateOfSecondEpoch"], strategy="mine.py:step")
    (pair,) = kerasx.Engine().compare(base, other).pairs
    assert pair.agrees


def test_what_runs_in_a_graph_alone_is_compared_by_states() -> None:
    pair, notes = compared("custom-step", "mine.py:symbolic_step", execution="graph")
    assert pair.agrees
    assert any("stages are not traced" in note and "tf.gradients" in note for note in notes)


def test_no_side_is_given_a_metric_that_nobody_named_where_one_has_a_step_of_its_own() -> None:
    pair, _ = compared("custom-step", "mine.py:step_without_metrics", metrics=None)
    assert pair.agrees, pair.said


def test_a_step_that_returns_nothing_at_all_is_compared_as_it_is_executed() -> None:
    """`fit` cannot hand on an empty dictionary; in fused execution there is no need to."""
    pair, notes = compared("custom-step", "mine.py:silent_step", execution="fused")
    assert (pair.verdict, pair.affects) == ("diverged", "report")
    assert any("the step returned no logs at all" in note for note in notes)


def test_steps_of_a_pipeline_of_unknown_length_are_kept_apart() -> None:
    """Keras begins a step for a batch that there is not."""
    side = kerasx.Experiment(**{**FIELDS, "dataset": "mine.py:pipeline"})
    found = kerasx.Engine().explain("mine.py:step", experiment=side)
    assert found.verdict in ("identical", "equivalent"), found.text
    pair, _ = compared("custom-step", "mine.py:step", dataset="mine.py:pipeline")
    assert pair.agrees


def test_settings_of_the_process_are_put_back() -> None:
    before = _settings()
    pair, _ = compared("mine.py:step", "setting.py:step")
    assert pair.agrees
    assert _settings() == before


def test_runs_whose_code_has_changed_are_judged_by_their_records(here: Path) -> None:
    """What the file says now is not what was trained."""
    engine = kerasx.Engine(runs=here / "runs")
    one = engine.train(**{**FIELDS, "strategy": "mine.py:step"})
    (here / "mine.py").write_text(MINE.replace("scale=1.0", "scale=0.1"))
    other = engine.train(**{**FIELDS, "strategy": "mine.py:step"})
    result = engine.compare(one, other)
    (pair,) = result.pairs
    assert (pair.verdict, pair.affects) == ("diverged", "training")
    assert "as their records say" in pair.said
    assert any("mine.py has changed since" in note for note in result.notes)


def test_a_loop_reports_what_it_returns(here: Path) -> None:
    """Its own mean, where Keras's rule would report its tracker's, which nobody updated."""
    run = kerasx.Engine(runs=here / "runs").train(**{**FIELDS, "strategy": "mine.py:listing_loop"})
    assert all(loss > 0.1 for loss in run.history["loss"])


def _settings() -> tuple[Any, ...]:
    config = keras.config
    return config.epsilon(), config.is_traceback_filtering_enabled(), tf.config.functions_run_eagerly()
