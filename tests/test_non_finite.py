"""Trainings that become non-finite are found within the call, and told of by step, quantity and layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasx

EXECUTIONS = [
    ("custom-step", "fused", True),
    ("gradient-tape", "fused", False),
    ("gradient-tape", "graph", False),
    ("compiled-fit", "fused", False),
    ("compiled-fit", "eager", False),
]
BAD_ROW = 77
BATCH = 16


class Root(keras.layers.Layer):
    """A root, whose gradient at 0 is infinite."""

    def call(self, x: Any) -> Any:
        return tf.sqrt(tf.nn.relu(x))


def rows() -> dict[str, Any]:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 4)).astype("float32")
    return {"x_train": x[:150], "y_train": x[:150, :1] * 2, "x_test": x[150:], "y_test": x[150:, :1] * 2}


def network(middle: keras.layers.Layer) -> Any:
    def build() -> keras.Model:
        inputs = keras.Input((4,))
        hidden = middle(keras.layers.Dense(8, name="first")(inputs))
        return keras.Model(inputs, keras.layers.Dense(1, name="last")(hidden))

    return build


def failure(tmp_path: Path, execution: tuple[str, str, bool], **values: Any) -> tuple[str, Path]:
    strategy, mode, jit = execution
    engine = kerasx.Engine(runs=tmp_path / "runs")
    with pytest.raises(kerasx.NonFiniteError) as raised:
        engine.train(
            **{
                "loss": "mse",
                "metrics": [],
                "optimizer": "sgd",
                "epochs": 3,
                "batch_size": BATCH,
                "shuffle": False,
                "strategy": strategy,
                "execution": mode,
                "jit": jit,
                "dataset": rows(),
                **values,
            }
        )
    assert raised.value.exit_code == 4
    (run,) = engine.list_runs()
    assert run.summary["status"] == "non-finite"
    assert run.summary["reason"].endswith(str(raised.value))
    return str(raised.value), run.path


@pytest.mark.parametrize("execution", EXECUTIONS, ids=str)
def test_an_overflow_is_told_by_step_and_layer(tmp_path: Path, execution: tuple[str, str, bool]) -> None:
    """One row is far too large for an exponential: the step that has it, whatever the execution."""
    data = rows()
    data["x_train"][BAD_ROW] = 1e4
    growing = network(keras.layers.Activation("exponential", name="growing"))
    said, folder = failure(tmp_path, execution, model=growing, dataset=data, learning_rate=1e-6)
    step = BAD_ROW // BATCH + 1
    assert f"in step {step} of epoch 1, the output of the layer `growing` was the first" in said
    saved = np.load(folder / "non-finite.npz", allow_pickle=False)
    assert BAD_ROW in saved["rows"]
    np.testing.assert_array_equal(saved["x"], data["x_train"][saved["rows"]])
    np.testing.assert_array_equal(saved["y"], data["y_train"][saved["rows"]])


@pytest.mark.parametrize("execution", EXECUTIONS[2:], ids=str)
def test_a_gradient_is_told_by_its_variable(tmp_path: Path, execution: tuple[str, str, bool]) -> None:
    """The loss of that step is finite; XLA, which computes 0 times infinity otherwise, is left out."""
    said, _ = failure(tmp_path, execution, model=network(Root(name="root")), learning_rate=1e-3)
    assert "in step 1 of epoch 1, the gradient of `first/kernel` is not finite, of a finite loss" in said


def test_a_later_epoch_is_told_and_the_state_before_it_is_kept(tmp_path: Path) -> None:
    """By a schedule that makes the rate absurd within the second epoch."""

    class Absurd(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                self.model.optimizer.learning_rate = 1e25

    growing = network(keras.layers.Activation("exponential", name="growing"))
    said, folder = failure(tmp_path, EXECUTIONS[0], model=growing, learning_rate=1e-3, callbacks=[Absurd()])
    assert "of epoch 2" in said
    assert (folder / "checkpoints" / "000001-000000000.safetensors").is_file()
    assert json.loads((folder / "summary.json").read_text())["resume"]


def test_steps_that_loss_scaling_leaves_out_are_no_fault(tmp_path: Path) -> None:
    """The scale begins so large that the first gradients overflow."""

    def build() -> keras.Model:
        model = network(keras.layers.Activation("relu"))()
        scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e-3), initial_scale=2.0**60)
        model.compile(scaled, "mse")
        return model

    run = kerasx.Engine(runs=tmp_path / "runs").train(
        model=build, dataset=rows(), precision="mixed_float16", epochs=4, strategy="gradient-tape"
    )
    assert all(np.isfinite(run.history["loss"]))
    scale = run.model.optimizer.dynamic_scale
    assert float(keras.ops.convert_to_numpy(scale)) < 2.0**60
