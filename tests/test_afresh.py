"""Modules of the user's own code: anew for each side of a comparison, and the program's own afterwards."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kerasx
from kerasx.own_modules import known_by, own_modules
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402

PACKAGE = {
    "mine_afresh/helper.py": """
import keras

OPTIMIZER = keras.optimizers.SGD(0.01, momentum=0.9)
""",
    "mine_afresh/steps.py": """
import keras
import numpy as np
import tensorflow as tf

from mine_afresh import helper

CALLS = []


@keras.saving.register_keras_serializable("mine_afresh")
class Own(keras.layers.Dense):
    pass


def data():
    x = np.random.default_rng(3).normal(size=(32, 6)).astype("float32")
    return {"x_train": x, "y_train": x[:, :2].copy()}


def build():
    return keras.Sequential([keras.Input((6,)), Own(2)])


def step(model, data, optimizer=helper.OPTIMIZER):
    x, y = data
    CALLS.append(len(CALLS))
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x=x, y=y, y_pred=model(x, training=True), training=True)
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.get_metrics_result()
""",
    "handing_over.py": """
from mine_afresh import steps


def step(model, data):
    assert isinstance(model.layers[0], steps.Own)
    return steps.step(model, data, model.optimizer)
""",
}
FIELDS: dict[str, Any] = {
    "model": "mine_afresh.steps:build",
    "dataset": "mine_afresh.steps:data",
    "loss": "mean_squared_error",
    "metrics": [],
    "execution": "eager",
    "epochs": 1,
    "batch_size": 16,
}


@pytest.fixture(scope="module", autouse=True)
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A package without `__init__.py`, on the path from the beginning."""
    folder = tmp_path_factory.mktemp("here")
    (folder / "mine_afresh").mkdir()
    for name, text in PACKAGE.items():
        (folder / name).write_text(text)
    (folder / "by_path.py").write_text("from mine_afresh.steps import step\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.chdir(folder)
        yield folder
    for name in own_modules():
        if name.startswith(("mine_afresh", "handing_over")):
            del sys.modules[name]


@pytest.mark.parametrize("reference", ["mine_afresh.steps:step", "by_path.py:step"])
def test_each_side_has_modules_of_ones_own_anew_and_the_program_keeps_its(reference: str) -> None:
    """An optimizer in a module begins anew, be the module named, or imported by what is named."""
    steps, helper = map(importlib.import_module, ("mine_afresh.steps", "mine_afresh.helper"))
    registered = keras.saving.get_registered_object("mine_afresh>Own")
    before = dict(own_modules())
    (pair,) = kerasx.Engine().compare(reference, reference, **FIELDS).pairs
    assert pair.verdict == "identical"
    assert own_modules() == before
    assert sys.modules["mine_afresh"].steps is steps
    assert keras.saving.get_registered_object("mine_afresh>Own") is registered
    assert not steps.CALLS
    assert not helper.OPTIMIZER.built


def test_what_an_object_that_was_handed_over_refers_to_stays() -> None:
    """Or what is built by reference would be of another class of that name."""
    handing_over = importlib.import_module("handing_over")
    assert known_by([handing_over.step]) >= {"handing_over", "mine_afresh.steps", "mine_afresh.helper"}
    result = kerasx.Engine().compare("compiled-fit", handing_over.step, **FIELDS)
    assert result.agrees


def test_installed_modules_are_loaded_once() -> None:
    own = own_modules()
    assert not {"keras", "numpy", "kerasx", "kerasx_compiled_fit", "json", "__main__"} & own.keys()
