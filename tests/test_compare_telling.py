"""What steps do beside what they part in, which must not be taken for it; and what is said of that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

MINE = '''
import keras
import numpy as np
import tensorflow as tf


def data():
    x = np.random.default_rng(3).normal(size=(40, 6)).astype("float32")
    return {"x_train": x, "y_train": x[:, :2].copy()}


class Counted(keras.layers.Layer):
    """Has a variable that is not trained."""

    def build(self, shape):
        self.count = self.add_weight(shape=(), trainable=False, name="count")

    def call(self, x):
        return x


def build():
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(4), Counted(), keras.layers.Dense(2)])


def trained(model, data, scale=1.0, first=lambda model, x: model, variables=lambda model: model.variables):
    x, y = data
    network = first(model, x)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x=x, y=y, y_pred=network(x, training=True), training=True) * scale
    gradients = tape.gradient(loss, variables(network))
    pairs = [(each, own) for each, own in zip(gradients, variables(model)) if each is not None]
    model.optimizer.apply(*zip(*pairs))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.get_metrics_result()


def warmed_up(model, x):
    model(x[:2])
    return model


def cloned(model, x):
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    return clone


def doubled_after_warming_up(model, data):
    return trained(model, data, 2.0, warmed_up)


def doubled_of_all_variables(model, data):
    return trained(model, data, 2.0)


def step_of_a_clone(model, data):
    return trained(model, data, first=cloned, variables=lambda model: model.trainable_variables)
'''
FIELDS: dict[str, Any] = {
    "model": "mine.py:build",
    "dataset": "mine.py:data",
    "loss": "mean_squared_error",
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.01},
    "execution": "eager",
    "epochs": 1,
    "batch_size": 16,
}


@pytest.fixture(scope="module", autouse=True)
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("here")
    (folder / "mine.py").write_text(MINE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def doubled(here: Path) -> kerasx.Comparison:
    """A clone leads, so that what it does is held against itself too."""
    steps = ("step_of_a_clone", "doubled_after_warming_up", "doubled_of_all_variables")
    names = [f"mine.py:{step}" for step in steps]
    return kerasx.Engine().compare(names[0], "custom-step", *names[1:], **FIELDS)


@pytest.mark.parametrize("step", ["doubled_after_warming_up", "doubled_of_all_variables"])
@pytest.mark.parametrize("other", ["custom-step", "mine.py:step_of_a_clone"])
def test_steps_part_where_they_differ_in_what_is_trained(
    doubled: kerasx.Comparison, step: str, other: str
) -> None:
    """Not in a forward pass that comes to nothing, nor in variables of which there is no gradient, nor in the
    names that Keras gives to the layers of a clone."""
    (pair,) = [each for each in doubled.pairs if (each.a, each.b) == (other, f"mine.py:{step}")]
    first = pair.first_difference
    assert first is not None
    assert (first.stage, first.quantity, first.step) == ("loss", "loss", 0)
    assert first.ratio == pytest.approx(0.5)


def test_a_clone_that_is_made_anew_in_each_step_repeats_itself(doubled: kerasx.Comparison) -> None:
    assert doubled.pairs[0].verdict == "identical"
    assert not [note for note in doubled.notes if "does not repeat itself" in note]
