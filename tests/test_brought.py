"""What a model brings with it (how it was compiled, its precision) stays, in training and afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402

RNG = np.random.RandomState(4)
X = RNG.randn(40, 3).astype("float32")
Y = X[:, :1] * 2
STRATEGIES = ("compiled-fit", "custom-step", "gradient-tape")
OWN = """
import keras
import numpy as np


def quartic(y_true, y_pred):
    return keras.ops.mean((y_true - y_pred) ** 4, axis=-1)


def build():
    inputs = keras.Input((3,))
    outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in ("a", "b")}
    model = keras.Model(inputs, outputs)
    losses = {"a": "mse", "b": LOSS}
    model.compile("adam", losses, loss_weights={"a": 1, "b": 0.5}, metrics={"a": ["mae"], "b": ["mse"]})
    return model


def data():
    x = np.random.RandomState(0).randn(40, 3).astype("float32")
    rows = (x, {"a": x[:, :1], "b": x[:, 1:2]})
    return rows, rows
"""


def linear() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])


def train(runs: Path, **values: Any) -> kerasx.Run:
    fields = {"dataset": ((X, Y), (X, Y)), "epochs": 1, "execution": "graph", "jit": False}
    return kerasx.Engine(runs=runs).train(**{**fields, **values})


@pytest.mark.parametrize("loss", ["'mse'", "quartic"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"loss": {"a": "mse", "b": "mae"}},
        {"loss_weights": {"b": 3.0}, "loss": {"a": "mse", "b": "OWN:quartic"}},
        {"metrics": {"a": ["mse"]}},
    ],
    ids=["nothing", "losses", "weights", "metrics"],
)
def test_evaluation_is_that_of_the_run_whatever_was_replaced(
    tmp_path: Path, loss: str, fields: dict[str, Any]
) -> None:
    """Loss weights and metrics that came with the model, beside what was named."""
    own = tmp_path / "own.py"
    own.write_text(OWN.replace("LOSS", loss))
    if "loss_weights" in fields:
        fields = {**fields, "loss": {"a": "mse", "b": f"{own}:quartic"}}
    run = train(tmp_path / "runs", model=f"{own}:build", dataset=f"{own}:data", **fields)
    assert {"a_loss", "b_loss"} <= set(run.evaluation)
    if "metrics" not in fields:
        assert {"a_mae", "b_mse"} <= set(run.evaluation)
    assert kerasx.Engine(runs=tmp_path / "runs").evaluate(run) == run.evaluation


def test_weighted_metrics_of_a_compiled_object_stay_beside_a_new_loss(tmp_path: Path) -> None:
    model = linear()
    model.compile("sgd", "mse", weighted_metrics=["mae"])
    run = train(tmp_path, model=model, loss="huber")
    assert set(run.evaluation) == {"loss", "mae"}
    again = kerasx.Engine(runs=tmp_path).evaluate(run, dataset=((X, Y), (X, Y)))
    assert again == run.evaluation


@pytest.mark.soak
@pytest.mark.parametrize("scaled", [True, False])
def test_loss_scaling_is_what_the_model_was_compiled_with(tmp_path: Path, scaled: bool) -> None:
    """`auto_scale_loss=False` stays: with it or without, the bits of `fit`."""

    def compiled() -> keras.Model:
        keras.utils.set_random_seed(0)
        model = linear()
        model.compile("sgd", "mse", auto_scale_loss=scaled, jit_compile=False)
        return model

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        plain, models = compiled(), [compiled() for _ in STRATEGIES]
    finally:
        keras.config.set_dtype_policy(policy)
    plain.fit(X, Y, batch_size=32, shuffle=False, verbose=0)
    for strategy, model in zip(STRATEGIES, models, strict=True):
        run = train(tmp_path, model=model, strategy=strategy, shuffle=False)
        assert run.weights_digest == kerasx.weights_digest(plain), strategy
        assert isinstance(run.model.optimizer, keras.optimizers.LossScaleOptimizer) == scaled
    asked = train(tmp_path, model=models[0], loss="mae", optimizer="adam")
    assert isinstance(asked.model.optimizer, keras.optimizers.LossScaleOptimizer) == scaled


@pytest.mark.parametrize("compiled", [True, False])
def test_a_file_has_the_precision_it_was_built_with(tmp_path: Path, compiled: bool) -> None:
    """Another is refused; its own is accepted; what is written repeats the run."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = linear()
    finally:
        keras.config.set_dtype_policy(policy)
    for name, model in (("single", linear()), ("half", half)):
        if compiled:
            model.compile("sgd", "mse")
        model.save(tmp_path / f"{name}.keras")
    fields = {} if compiled else {"loss": "mse", "metrics": []}
    for name, asked in (("single", "mixed_float16"), ("half", "float32"), ("half", "mixed_float16")):
        with pytest.raises(kerasx.UsageError, match="already built with the precision"):
            train(tmp_path / "runs", model=f"{tmp_path}/{name}.keras", precision=asked, **fields)
    run = train(tmp_path / "runs", model=f"{tmp_path}/half.keras", precision="mixed_bfloat16", **fields)
    without = train(tmp_path / "runs", model=f"{tmp_path}/half.keras", **fields)
    assert run.weights_digest == without.weights_digest
    assert '"dtype_policy": "mixed_bfloat16"' in (without.directory / "environment.json").read_text()
    written = kerasx.Experiment.from_toml(without.directory / "experiment.toml")
    again = kerasx.Engine(runs=tmp_path / "runs").train(written, dataset=((X, Y), (X, Y)))
    assert again.weights_digest == without.weights_digest


def test_what_was_handed_over_is_told(tmp_path: Path) -> None:
    """In a note, in the file, and when the file is used again."""
    run = train(tmp_path, model=linear(), loss="mse")
    assert any("does not repeat this run" in note and "model, dataset" in note for note in run.notes)
    with pytest.raises(kerasx.UsageError, match=r"was an object, .*hand it over again"):
        kerasx.Engine(runs=tmp_path).train(kerasx.Experiment.from_toml(run.directory / "experiment.toml"))
