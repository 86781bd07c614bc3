"""The engine as embedding code uses it: objects, run directories, and a process left as it was."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from kerasx.assembly.isolation import isolated  # noqa: E402

RNG = np.random.RandomState(3)
X = RNG.randn(72, 5).astype("float32")
Y = (X.sum(axis=1) > 0).astype("int64")
DATA = {"x_train": X, "y_train": Y, "x_test": X[:20], "y_test": Y[:20]}
FIELDS: dict[str, Any] = {"dataset": DATA, "loss": "sum-squared-error", "epochs": 2}


def small_model(units: int = 4) -> keras.Model:
    return keras.Sequential([keras.Input((5,)), keras.layers.Dense(units, "relu"), keras.layers.Dense(2)])


@pytest.fixture
def engine(tmp_path: Path) -> kerasx.Engine:
    return kerasx.Engine(runs=tmp_path / "runs")


def directories(engine: kerasx.Engine) -> list[Path]:
    return sorted(engine.runs.iterdir()) if engine.runs.exists() else []


def test_objects_are_trained_and_handed_back(engine: kerasx.Engine) -> None:
    """A model, arrays and a loss object; the run says it cannot be repeated from its file."""
    model = small_model()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    run = engine.train(model=model, dataset=((X, Y), (X[:20], Y[:20])), loss=loss, epochs=2)
    assert run.model is model
    assert run.weights_digest == kerasx.weights_digest(model)
    assert set(run.evaluation) == {"loss", "accuracy"}
    assert run.steps == 6
    text = (run.directory / "experiment.toml").read_text()
    assert text.startswith("# Not re-runnable from this file alone")
    assert "model, dataset, loss" in text
    assert engine.predict(run, X[:7]).shape == (7, 2)
    with pytest.raises(kerasx.UsageError, match="handed over as an object"):
        engine.evaluate(run)
    evaluated = engine.evaluate(run, dataset=((X, Y), (X[:20], Y[:20])))
    assert evaluated == pytest.approx(run.evaluation, rel=1e-6)


def test_a_compiled_model_brings_what_it_was_compiled_with(engine: kerasx.Engine) -> None:
    """Its optimizer, loss and metrics are those of a plain fit on the same batches; options override."""

    def compiled() -> keras.Model:
        random.seed(11)
        model = small_model()
        model.compile(
            optimizer=keras.optimizers.Adam(0.02),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[keras.metrics.SparseTopKCategoricalAccuracy(k=1, name="top")],
        )
        return model

    plain = compiled()
    order = kerasx.batch_order(0, 0, len(X))
    plain.fit(X[order], Y[order], batch_size=32, epochs=1, shuffle=False, verbose=0)
    run = engine.train(model=compiled(), dataset=(X, Y), epochs=1, strategy="gradient-tape", jit=False)
    assert run.weights_digest == kerasx.weights_digest(plain)
    assert set(run.history) == {"loss", "top"}

    other = engine.train(model=compiled(), dataset=(X, Y), epochs=1, loss="sum-squared-error")
    assert isinstance(other.model.optimizer, keras.optimizers.Adam)
    assert set(other.history) == {"loss", "top"}
    assert other.weights_digest != run.weights_digest
    slower = engine.train(model=compiled(), dataset=(X, Y), epochs=1, learning_rate=0.5)
    assert float(slower.model.optimizer.learning_rate) == 0.5


def test_the_run_directory_tells_the_whole_run(engine: kerasx.Engine) -> None:
    """Every file of it, complete and agreeing with the run that was returned."""
    run = engine.train(**FIELDS, strategy="custom-step")
    files = {path.name for path in run.directory.iterdir()}
    assert files == {
        "experiment.toml",
        "environment.json",
        "metrics.jsonl",
        "history.csv",
        "train.log",
        "model.keras",
        "summary.json",
        "report.html",
        "checkpoints",
    }
    rows = [json.loads(line) for line in (run.directory / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [0, 1]
    assert [row["val_loss"] for row in rows] == run.history["val_loss"]
    header, *lines = (run.directory / "history.csv").read_text().splitlines()
    assert "val_accuracy" in header.split(",")
    assert len(lines) == 2
    environment = json.loads((run.directory / "environment.json").read_text())
    assert (environment["execution"], environment["jit"]) == ("fused", True)
    assert environment["dtype_policy"] == "float32"
    assert len(environment["data_digest"]) == 64
    assert {row["distribution"] for row in environment["plugins"]} >= {"kerasx-custom-step", "kerasx"}
    assert any("accuracy is SparseCategoricalAccuracy" in note for note in environment["notes"])
    summary = json.loads((run.directory / "summary.json").read_text())
    assert summary["status"] == "finished"
    assert {key: summary[key] for key in run.to_dict()} == json.loads(json.dumps(run.to_dict()))
    assert "epoch 2/2" in (run.directory / "train.log").read_text()
    assert kerasx.weights_digest(keras.models.load_model(run.directory / "model.keras")) == run.weights_digest
    report = (run.directory / "report.html").read_text()
    assert run.weights_digest in report
    assert "http" not in report.replace("http://www.w3.org", "")


def test_the_written_experiment_repeats_the_run(
    engine: kerasx.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was left open is filled in, and the file alone gives the same bits."""
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "own.npz", **DATA)
    fields = {**FIELDS, "dataset": "own.npz", "optimizer": {"name": "adam", "beta_1": 0.8}, "seed": 4}
    run = engine.train(**fields)
    again = kerasx.Experiment.from_toml(run.directory / "experiment.toml")
    assert again.learning_rate == 0.001
    assert (again.execution, again.jit, again.steps_per_call) == ("fused", True, 64)
    assert engine.train(again).weights_digest == run.weights_digest


SUBCLASSED = """
import keras


class Plain(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, x):
        return self.layer(x)

    def get_config(self):
        raise NotImplementedError


def build():
    return Plain(keras.layers.Dense(2))
"""


def test_a_model_that_cannot_be_saved_whole_is_rebuilt(
    engine: kerasx.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights and reference are kept; evaluate and predict rebuild it, also from elsewhere."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(SUBCLASSED)
    np.savez(tmp_path / "own.npz", **DATA)
    run = engine.train(**{**FIELDS, "dataset": "own.npz", "model": "own.py:build"})
    assert not (run.directory / "model.keras").exists()
    assert any("weights are kept" in note for note in run.notes)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert engine.evaluate(run) == pytest.approx(run.evaluation, rel=1e-6)
    expected = run.model.predict(X[:3], verbose=0)
    np.testing.assert_allclose(engine.predict(run, X[:3]), expected, rtol=1e-6)


def test_plugins_as_objects_belong_to_their_engine_alone(tmp_path: Path) -> None:
    """A module-like object with hooks is used without installation, and by no other engine."""

    class Plugin:
        @kerasx.hookimpl
        def kerasx_models(self) -> list[kerasx.ModelSpec]:
            return [kerasx.ModelSpec("tiny", "Two units.", lambda: small_model(2))]

    one = kerasx.Engine(plugins=[Plugin()], runs=tmp_path)
    other = kerasx.Engine(runs=tmp_path)
    assert one.train(**FIELDS, model="tiny").model.count_params() == 5 * 2 + 2 + 2 * 2 + 2
    with pytest.raises(kerasx.UsageError, match="no model `tiny`"):
        other.train(**FIELDS, model="tiny")


def process_state() -> dict[str, Any]:
    return {
        "python": random.getstate(),
        "numpy": [part.tolist() if hasattr(part, "tolist") else part for part in np.random.get_state()],
        "tensorflow": tf.compat.v1.get_seed(1),
        "policy": keras.config.dtype_policy().name,
        "path": list(sys.path),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
    }


def test_a_run_leaves_the_process_as_it_was(engine: kerasx.Engine) -> None:
    """Seeds, dtype policy, paths, environment: also when the run fails."""
    random.seed(5)
    np.random.seed(6)
    tf.random.set_seed(7)
    before = process_state()
    engine.train(**FIELDS, precision="mixed_bfloat16")
    assert process_state() == before
    with pytest.raises(kerasx.UsageError):
        engine.train(**FIELDS, precision="mixed_bfloat16", optimizer="nosuch")
    assert process_state() == before


def test_two_engines_do_not_disturb_each_other(tmp_path: Path) -> None:
    """A run gives the same bits between others as alone."""
    alone = kerasx.Engine(runs=tmp_path / "a").train(**FIELDS, seed=9)
    one, two = kerasx.Engine(runs=tmp_path / "b"), kerasx.Engine(runs=tmp_path / "c")
    two.train(**FIELDS, seed=1, precision="mixed_float16")
    between = one.train(**FIELDS, seed=9)
    two.train(**FIELDS, seed=2, optimizer="adam")
    assert between.weights_digest == alone.weights_digest
    assert between.history == alone.history
    assert len(directories(two)) == 2


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"dataset": "nosuch"}, "no data set|no dataset"),
        ({"model": lambda: 3}, "keras.Model"),
        ({"model": lambda: keras.Sequential([keras.Input((6,)), keras.layers.Dense(2)])}, "does not fit"),
        (
            {
                "loss": "mse",
                "model": lambda: keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)]),
                "dataset": (X, np.eye(3, dtype="float32")[Y]),
            },
            "different shapes",
        ),
        ({"dataset": (X, Y + 7), "model": small_model}, "go from 7 to 8"),
        (
            {
                "metrics": ["accuracy"],
                "dataset": (X, X[:, 0]),
                "model": lambda: keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)]),
                "loss": "mse",
            },
            "regression",
        ),
        ({"precision": "mixed_float16", "model": small_model()}, "already built"),
        ({"strategy": lambda model, data: {}["gone"]}, "first batch"),
        ({"callbacks": [3]}, "callback"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_fails_before_the_first_step_leaves_nothing(
    engine: kerasx.Engine, values: dict[str, Any], said: str
) -> None:
    """A message that says what and where, and no run directory."""
    with pytest.raises(kerasx.UsageError, match=said):
        engine.train(**{**FIELDS, **values})
    assert directories(engine) == []


class At(keras.callbacks.Callback):
    """Raises at the end of an epoch."""

    def __init__(self, epoch: int, error: BaseException) -> None:
        super().__init__()
        self.epoch, self.error = epoch, error

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch:
            raise self.error


@pytest.mark.parametrize("strategy", ["compiled-fit", "custom-step", "gradient-tape"])
@pytest.mark.parametrize(
    ("error", "raised", "status"),
    [
        (ValueError("on purpose"), kerasx.UsageError, "failed"),
        (KeyboardInterrupt(), KeyboardInterrupt, "interrupted"),
        (kerasx.Interrupted(15), kerasx.Interrupted, "interrupted"),
    ],
)
def test_what_ends_a_run_is_recorded(
    engine: kerasx.Engine, strategy: str, error: BaseException, raised: type[BaseException], status: str
) -> None:
    """After some steps the directory stays and says how the run ended."""
    with pytest.raises(raised):
        engine.train(**FIELDS, strategy=strategy, callbacks=[At(1, error)])
    (directory,) = directories(engine)
    summary = json.loads((directory / "summary.json").read_text())
    assert summary["status"] == status
    assert summary["steps"] == 6
    assert (directory / "metrics.jsonl").read_text().count("\n") == 1


def test_a_loss_that_is_not_finite_is_an_error(engine: kerasx.Engine) -> None:
    """The run says non-finite, before the epoch has come to its end."""
    with pytest.raises(kerasx.NonFiniteError, match=r"in step 2 of epoch 1, .*loss"):
        engine.train(**FIELDS, learning_rate=1e30)
    (directory,) = directories(engine)
    assert json.loads((directory / "summary.json").read_text())["status"] == "non-finite"
    assert not (directory / "metrics.jsonl").exists()


def test_an_evaluation_that_is_not_finite_is_an_error(engine: kerasx.Engine) -> None:
    """The run's numbers are valid JSON."""

    def reported(model: keras.Model, data: Any) -> Any:
        model.metrics[0].update_state(float("inf"))
        return kerasx.test_step(model, data)

    with pytest.raises(kerasx.NonFiniteError, match="`val_loss` is inf after epoch 1"):
        engine.train(**FIELDS, strategy={"name": "custom-step", "test_step": reported})
    (directory,) = directories(engine)
    row = json.loads((directory / "metrics.jsonl").read_text().splitlines()[0])
    assert row["val_loss"] is None


def test_a_dry_run_trains_one_batch_and_keeps_nothing(engine: kerasx.Engine) -> None:
    """Resolved experiment, model summary, answers, and logs of one batch."""
    model = small_model()
    before = kerasx.weights_digest(model)
    dry = engine.dry_run(kerasx.Experiment(**FIELDS), model=model, callbacks=["tensorboard"])
    assert int(model.optimizer.iterations) == 0
    assert kerasx.weights_digest(model) == before
    assert dry.experiment.learning_rate == 0.01
    assert "Total params" in dry.model_summary
    assert set(dry.logs) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert directories(engine) == []


def test_export_writes_nothing_over_and_says_what_it_can(engine: kerasx.Engine, tmp_path: Path) -> None:
    """Formats by ending or by name; an existing file stays."""
    run = engine.train(**FIELDS)
    engine.export(run, tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert kerasx.weights_digest(loaded) == run.weights_digest
    before = (tmp_path / "m.keras").read_bytes()
    for path, format in ((tmp_path / "m.keras", None), (tmp_path / "m.bin", None), (tmp_path / "m", "onx")):
        with pytest.raises(kerasx.UsageError):
            engine.export(run, path, format=format)
    assert (tmp_path / "m.keras").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.keras", "runs"]


@pytest.mark.parametrize("devices", [2])
def test_a_model_built_before_cannot_be_distributed(engine: kerasx.Engine, devices: int) -> None:
    """Devices have to be known when the model is built."""
    with pytest.raises(kerasx.UsageError, match="devices"):
        engine.train(**FIELDS, model=small_model(), devices=devices)


def test_a_model_keeps_no_execution_from_a_run(engine: kerasx.Engine) -> None:
    """An eager run with a model object does not make the next one eager."""
    model = small_model()
    assert engine.train(**FIELDS, model=model, execution="eager").execution == "eager"
    assert engine.train(**FIELDS, model=model).execution == "fused"


CUSTOM_LAYER = """
import keras


class Scale(keras.layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return x * self.factor


def build():
    return keras.Sequential([keras.Input((5,)), Scale(), keras.layers.Dense(2)])
"""


def test_a_model_with_a_users_class_is_used_after_its_run(engine: kerasx.Engine, tmp_path: Path) -> None:
    """Keras's safe mode loads no class of a user's: the model is rebuilt from its reference."""
    (tmp_path / "own.py").write_text(CUSTOM_LAYER)
    run = engine.train(**FIELDS, model=f"{tmp_path}/own.py:build")
    assert engine.evaluate(run, dataset=DATA) == pytest.approx(run.evaluation, rel=1e-6)
    with pytest.raises(kerasx.UsageError, match="handed over as an object"):
        engine.predict(run, X)
    np.savez(tmp_path / "own.npz", **DATA)
    run = engine.train(**{**FIELDS, "dataset": f"{tmp_path}/own.npz"}, model=f"{tmp_path}/own.py:build")
    assert engine.predict(run, X).shape == (72, 2)
    engine.export(run, tmp_path / "m.weights.h5")


def test_libraries_stay_loaded_whose_folder_a_reference_added(engine: kerasx.Engine) -> None:
    """A `.venv` in the project's folder is not forgotten with the user's own modules."""
    folder = Path(keras.__file__).parents[3]
    with isolated(0):
        sys.path.insert(0, str(folder))
    assert sys.modules["keras"] is keras
    assert sys.modules["tensorflow"] is tf
