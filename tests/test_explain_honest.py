"""What an explanation must not say: a cause for a coincidence, a difference where there is none, nonsense."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comparing import working_in

import kerasx
from kerasx.parity.explain.limit import limited
from kerasx.parity.explain.replay import KINDS
from kerasx.parity.explain.sentences import has_words

MINE = '''
import keras
import numpy as np
import tensorflow as tf


def data():
    x = np.random.default_rng(5).normal(size=(56, 6)).astype("float32")
    return {"x_train": x, "y_train": x[:, :4].argmax(1)}


def weighed_data():
    return {**data(), "sample_weight_train": np.linspace(0.1, 2.0, 56, dtype="float32")}


def build():
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(4)])


def build_in_pairs():
    model = build()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), steps_per_execution=2)
    return model


class TellsItsRate(keras.Model):
    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return {**super().compute_metrics(x, y, y_pred, sample_weight), "rate": self.optimizer.learning_rate}


def build_that_tells():
    x = keras.Input((6,))
    model = TellsItsRate(x, keras.layers.Dense(4)(keras.layers.Dense(8, "relu")(x)))
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([2], [0.02, 0.01])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate), loss, metrics=["sparse_categorical_accuracy"])
    return model


def resets_within(model, data):
    if int(model.optimizer.iterations) % 5 == 1:
        model.reset_metrics()
    summed = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    return trained(model, data, lambda model, x, y, y_pred: summed(y, y_pred))


def trained(model, data, loss_of):
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = loss_of(model, x, y, y_pred)
    model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred, sample_weight)


def right(model, data):
    return trained(model, data, lambda model, x, y, y_pred: model.compute_loss(x, y, y_pred))


def without_logits(model, data):
    return trained(
        model, data, lambda model, x, y, y_pred: keras.losses.SparseCategoricalCrossentropy()(y, y_pred)
    )


def times_four(model, data):
    """For four workers; that there are four classes is a coincidence."""
    return trained(model, data, lambda model, x, y, y_pred: 4.0 * model.compute_loss(x, y, y_pred))


def weighed_metrics(model, data):
    """Hands the sample weights to every metric, as Keras does to weighted ones alone."""
    x, y, sample_weight = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred, sample_weight)
    model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    for metric in model.metrics[1].metrics:
        metric.update_state(y, y_pred, sample_weight)
    return model.get_metrics_result()


def nothing(model, data):
    return {"loss": tf.zeros(())}


def text(model, data):
    return {"loss": "abc"}
'''
FIELDS: dict[str, Any] = {
    "model": "mine.py:build",
    "dataset": "mine.py:data",
    "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
    "metrics": [],
    "optimizer": "sgd",
    "execution": "eager",
    "epochs": 2,
    "batch_size": 8,
}


@pytest.fixture(autouse=True, scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with working_in(tmp_path_factory.mktemp("honest"), MINE) as folder:
        yield folder


def explained(step: str, **values: Any) -> kerasx.Explanation:
    return kerasx.Engine().explain(f"mine.py:{step}", experiment=kerasx.Experiment(**{**FIELDS, **values}))


@pytest.mark.soak
def test_several_steps_a_call_are_taken_one_by_one() -> None:
    """As a model was compiled with them: two updates are no other step than one and one."""
    found = explained("right", model="mine.py:build_in_pairs", loss=None, optimizer=None, metrics=None)
    assert found.agrees
    assert not found.is_doubtful


def test_forgotten_logits_of_class_numbers_are_named() -> None:
    assert explained("without_logits").causes == ("from-logits",)


def test_a_factor_is_no_sum_over_classes() -> None:
    found = explained("times_four")
    assert found.causes == ()
    assert "stage loss" in found.unknown
    assert "4.000 times larger" in found.unknown


@pytest.mark.soak
def test_what_a_model_tells_of_its_own_state_hides_no_cause() -> None:
    """While causes are tried, its state is that of whichever was tried last."""
    settings = {"model": "mine.py:build_that_tells", "loss": None, "optimizer": None, "metrics": None}
    found = explained("resets_within", **settings, batch_size=12)
    assert found.causes == ("loss-reduction", "metric-not-reset")
    assert found.findings[1].sentence == "`mine.py:resets_within` resets metrics before step 1 of each epoch."


def test_metrics_that_are_given_sample_weights_are_said_to_be() -> None:
    metrics = ["sparse_categorical_accuracy", "sparse_categorical_crossentropy"]
    found = explained("weighed_metrics", dataset="mine.py:weighed_data", metrics=metrics)
    (finding,) = found.findings
    assert (finding.cause, finding.stage, finding.affects) == ("sample-weight", "report", "report")
    assert "weighs `sparse_categorical_accuracy`" in finding.sentence
    assert "`weighted_metrics` alone" in finding.fix


def test_a_step_that_does_nothing_is_told_as_that() -> None:
    found = explained("nothing")
    assert "trainable-set" not in found.causes
    assert [note for note in found.notes if "does nothing with the batches" in note]


def test_logs_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(kerasx.UsageError, match=r"returned 'abc' as `loss`, which is no number"):
        explained("text")


def test_every_deviation_has_a_sentence() -> None:
    assert [kind for kind, deviation in KINDS.items() if not has_words(deviation)] == []


def test_a_timer_of_the_program_around_goes_on() -> None:
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    try:
        signal.setitimer(signal.ITIMER_REAL, 500)
        with limited(30, "nothing"):
            pass
        assert 400 < signal.getitimer(signal.ITIMER_REAL)[0] <= 500
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_command_ends_what_hangs_within_tensorflow(tmp_path: Path) -> None:
    """Where Python has no say; elsewhere than in a command of its own a process is left alone."""
    code = """
import tensorflow as tf
from kerasx.parity.explain import limit

@tf.function
def spin(start):
    number = start
    while number >= 0:
        number = tf.minimum(number + 1, 5)
    return number

limit._PATIENCE = 1.0
limit.own_process()
with limit.limited(1.0, "mine.py:step has not taken its first steps"):
    spin(tf.constant(0))
"""
    (tmp_path / "hangs.py").write_text(code)
    command = [sys.executable, str(tmp_path / "hangs.py")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 2
    assert "has not taken its first steps within 1 seconds" in result.stderr
