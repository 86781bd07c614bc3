"""Keras's callbacks by name: what they write goes with the run, what they restore is what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402

STRATEGIES = ("compiled-fit", "custom-step", "gradient-tape")
RNG = np.random.RandomState(1)
X = RNG.randn(60, 4).astype("float32")
Y = RNG.randint(0, 3, 60)
DATA = ((X[:40], Y[:40]), (X[40:], Y[40:]))


def model() -> keras.Model:
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(32, activation="relu"), keras.layers.Dense(3)]
    )


def train(runs: Path, **values: Any) -> kerasx.Run:
    fields = {
        "model": model,
        "dataset": DATA,
        "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
        "optimizer": "adam",
        "learning_rate": 0.1,
        "epochs": 12,
        "execution": "graph",
        "jit": False,
    }
    return kerasx.Engine(runs=runs).train(**{**fields, **values})


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_restored_best_weights_are_what_is_saved_digested_and_evaluated(
    tmp_path: Path, strategy: str
) -> None:
    """Trained on noise, validation is best early; what is kept is of that epoch."""
    stopping = {"name": "early_stopping", "patience": 3, "restore_best_weights": True}
    best = {"name": "ModelCheckpoint", "filepath": "best.keras", "save_best_only": True}
    run = train(tmp_path, strategy=strategy, callbacks=[stopping, best])
    losses = run.history["val_loss"]
    assert len(losses) < 12
    assert min(losses) < losses[-1]
    assert run.evaluation["loss"] == min(losses)
    saved = keras.models.load_model(run.directory / "model.keras")
    checkpoint = keras.models.load_model(run.directory / "best.keras")
    assert kerasx.weights_digest(saved) == kerasx.weights_digest(checkpoint) == run.weights_digest
    assert kerasx.Engine(runs=tmp_path).evaluate(run, dataset=DATA) == run.evaluation
    without = train(tmp_path, strategy=strategy, epochs=len(losses))
    assert without.history == run.history
    assert without.weights_digest != run.weights_digest


def test_callbacks_of_a_file_repeat_the_run(tmp_path: Path) -> None:
    """Early stopping, a plateau, a log: from a list of names and tables, written back the same."""
    file = tmp_path / "experiment.toml"
    file.write_text(
        'callbacks = [{name = "early_stopping", monitor = "loss", patience = 1, min_delta = 0.5},'
        ' "ReduceLROnPlateau", {name = "csv_logger", filename = "log.csv", separator = ";"}]'
    )
    callbacks = kerasx.Experiment.from_toml(file).callbacks
    run = train(tmp_path, callbacks=callbacks)
    lines = (run.directory / "log.csv").read_text().splitlines()
    assert lines[0].startswith("epoch;accuracy;learning_rate;loss")
    assert len(lines) - 1 == len(run.history["loss"]) < 12
    written = kerasx.Experiment.from_toml(run.directory / "experiment.toml").callbacks
    assert written == callbacks
    assert train(tmp_path, callbacks=written).weights_digest == run.weights_digest


@pytest.mark.soak
def test_a_plateau_lowers_the_rate_in_every_strategy(tmp_path: Path) -> None:
    plateau = {"name": "reduce_lr_on_plateau", "patience": 1, "factor": 0.5, "min_delta": 10.0}
    runs = [train(tmp_path, strategy=each, callbacks=[plateau], epochs=5) for each in STRATEGIES]
    assert len({run.weights_digest for run in runs}) == 1
    assert runs[0].history["learning_rate"] == runs[2].history["learning_rate"]
    assert runs[0].history["learning_rate"][-1] < 0.1


def test_functions_of_the_users_own_by_reference(tmp_path: Path) -> None:
    """The schedule of LearningRateScheduler, the functions of LambdaCallback."""
    (tmp_path / "own.py").write_text(
        "def halved(epoch, rate):\n    return rate / 2\n"
        "def begin(epoch, logs):\n    open(f'{__file__}.at{epoch}', 'w').close()\n"
    )
    own = f"{tmp_path}/own.py"
    run = train(
        tmp_path,
        epochs=2,
        callbacks=[
            {"name": "learning_rate_scheduler", "schedule": f"{own}:halved"},
            {"name": "lambda_callback", "on_epoch_begin": f"{own}:begin"},
        ],
    )
    assert run.history["learning_rate"] == pytest.approx([0.05, 0.025])
    assert [(tmp_path / f"own.py.at{epoch}").exists() for epoch in range(3)] == [True, True, False]


def test_files_stay_where_an_absolute_path_puts_them(tmp_path: Path) -> None:
    weights = tmp_path / "elsewhere" / "w.weights.h5"
    checkpoint = {"name": "model_checkpoint", "filepath": str(weights), "save_weights_only": True}
    run = train(tmp_path, epochs=1, callbacks=[checkpoint])
    assert weights.exists()
    again = model()
    again.load_weights(weights)
    assert kerasx.weights_digest(again) == run.weights_digest


def test_a_dry_run_keeps_no_file_of_a_callback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kerasx.Engine(runs=tmp_path).dry_run(
        model=model,
        dataset=DATA,
        loss="sparse_categorical_crossentropy",
        callbacks=[{"name": "csv_logger", "filename": "log.csv"}],
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        ("early_stoping", "no callback `early_stoping`. Did you mean `early_stopping`"),
        ({"name": "early_stopping", "patienc": 3}, "no option `patienc`. Did you mean `patience`"),
        ("model_checkpoint", "filepath"),
        ({"name": "learning_rate_scheduler", "schedule": "nowhere.py:f"}, "there is no file `nowhere.py`"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_left(tmp_path: Path, callback: Any, message: str) -> None:
    with pytest.raises(kerasx.UsageError) as raised:
        train(tmp_path, callbacks=[callback])
    assert message in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_what_is_left_to_keras_goes_with_the_run_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras's own default folder, and folders that are not there yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERASX_DISABLE_PLUGINS", "kerasx-tensorboard,tensorboard")
    log = {"name": "csv_logger", "filename": "sub/log.csv"}
    run = train(tmp_path / "runs", epochs=1, callbacks=["TensorBoard", log])
    assert list(run.directory.glob("logs/train/events*"))
    assert (run.directory / "sub/log.csv").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_dry_run_leaves_a_backup_alone(tmp_path: Path) -> None:
    """BackupAndRestore would restore from it, and take it away at the end."""
    backup = {
        "name": "backup_and_restore",
        "backup_dir": str(tmp_path / "backup"),
        "delete_checkpoint": False,
    }
    train(tmp_path / "runs", epochs=2, callbacks=[backup])
    before = {path: path.read_bytes() for path in (tmp_path / "backup").iterdir()}
    assert before
    dry = kerasx.Engine(runs=tmp_path / "runs").dry_run(
        model=model,
        dataset=DATA,
        loss={"name": "sparse_categorical_crossentropy", "from_logits": True},
        callbacks=[{**backup, "delete_checkpoint": True}],
    )
    assert "loss" in dry.logs
    assert {path: path.read_bytes() for path in (tmp_path / "backup").iterdir()} == before
