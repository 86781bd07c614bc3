"""Explanations: a sample of programs, each with its cause; all of them are in tests/soak."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from corpus import FOLDER, load
from deviating import plain_experiment, planted_experiment
from deviations import DEVIATIONS
from typer.testing import CliRunner

import kerasx
from kerasx.cli.app import build_app
from kerasx.parity.explain.catalogue import CAUSES
from kerasx.parity.explain.finding import Explanation
from kerasx.parity.explain.replay import KINDS

# A sample of the deviations; all of them are in tests/soak.
PLANTED = (
    "loss-batch-divisor",
    pytest.param("unknown-max-norm", marks=pytest.mark.soak),
)

MINE = """
import time

import keras
import tensorflow as tf


def step(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = tf.reduce_mean(tf.square(y - y_pred))
    model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def raising_step(model, data):
    raise RuntimeError("never")


def step_without_logs(model, data):
    step(model, data)


def data():
    x = keras.random.normal((42, 4), seed=1)
    return {"x_train": x.numpy(), "y_train": (x[:, :2] * 2).numpy()}


def build():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
"""
FIELDS: dict[str, Any] = {
    "model": "mine.py:build",
    "dataset": "mine.py:data",
    "loss": "sum-squared-error",
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.01},
    "batch_size": 16,
    "epochs": 2,
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def explained(a: kerasx.Experiment, b: kerasx.Experiment) -> Explanation:
    return kerasx.Engine().explain(a, b)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_deviation_is_named_and_nothing_else(name: str) -> None:
    deviation = DEVIATIONS[name]
    found = explained(plain_experiment(deviation.setting), planted_experiment(deviation))
    assert found.verdict == "diverged"
    if deviation.cause == "unknown":
        assert found.unexplained
        assert found.causes == ()
        return
    assert found.causes == (deviation.cause,)
    (finding,) = found.findings
    assert finding.verified
    assert found.affects == deviation.affects
    assert "equals `fit`" in found.reference


@pytest.mark.parametrize("name", ["update/pair_huber_and_unweighted"])
def test_a_program_is_explained_and_its_twin_is_not_accused(name: str) -> None:
    program = load(FOLDER / f"{name}.py")
    found = explained(program.keras, program.odd)
    assert set(found.causes) == set(program.causes)
    assert program.twin is not None
    twin = explained(program.keras, program.twin)
    assert twin.agrees
    assert twin.findings == ()


def test_the_answer_is_one_document_that_can_be_run_again(here: Path) -> None:
    """One name alone is held against Keras; the proof runs again from what --json printed."""
    options = [
        *("--model", "mine.py:build", "--dataset", "mine.py:data", "--loss", "sum-squared-error"),
        *("--set", "metrics=[]", "--epochs", "2", "--batch-size", "16"),
    ]
    first = CliRunner().invoke(build_app(), ["explain", "mine.py:step", "--json", "-q", *options])
    assert first.exit_code == 1
    document = json.loads(first.stdout)
    assert {"verdict", "affects", "findings", "unexplained"} <= set(document)
    (finding,) = document["findings"]
    assert {"cause", "stage", "evidence", "factor", "fix", "verified"} <= set(finding)
    assert (finding["cause"], finding["stage"]) == ("loss-reduction", "loss")
    assert finding["factor"] == pytest.approx(0.5)
    assert finding["verified"] is True
    (here / "verdict.json").write_text(first.stdout)
    again = CliRunner().invoke(
        build_app(), ["explain", "mine.py:step", "--again", "verdict.json", "--json", "-q", *options]
    )
    assert json.loads(again.stdout)["findings"] == document["findings"]


def test_people_are_told_the_cause_with_its_number_first(here: Path) -> None:
    options = ["--model", "mine.py:build", "--dataset", "mine.py:data", "--loss", "sum-squared-error"]
    shown = CliRunner().invoke(build_app(), ["explain", "mine.py:step", "-q", *options])
    text = " ".join(shown.stdout.split())
    assert "averages `sum_squared_error` over the 2 outputs" in text
    assert "2.000 times smaller" in text
    assert "Proof: with it in the reference every stage agrees" in text


def test_what_keras_does_is_found_to_be_that(here: Path) -> None:
    found = kerasx.Engine().explain("gradient-tape", **FIELDS)
    assert (found.verdict, found.findings) == ("identical", ())


@pytest.mark.parametrize(
    ("step", "said"),
    [("raising_step", "RuntimeError: never"), ("step_without_logs", "has to return a dictionary")],
)
def test_code_that_fails_is_answered(here: Path, step: str, said: str) -> None:
    with pytest.raises(kerasx.UsageError, match=said):
        kerasx.Engine().explain(f"mine.py:{step}", **FIELDS)


def test_code_that_does_not_end_is_ended(here: Path) -> None:
    from kerasx.parity.explain.limit import limited

    def forever() -> None:
        with limited(0.2, "It has not ended"):
            while True:
                pass

    with pytest.raises(kerasx.UsageError, match=r"within 0\.2 seconds"):
        forever()


def test_every_deviation_is_one_of_the_catalogue() -> None:
    """And can be written down and read again."""
    assert {each.cause for each in DEVIATIONS.values()} <= set(CAUSES)
    for kind in KINDS.values():
        cause = kind.__dict__.get("cause")
        assert isinstance(cause, property) or cause in CAUSES
