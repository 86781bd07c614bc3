"""The article's rows: that they repeat its mistakes, and that what is said of them was measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import tensorflow as tf  # noqa: E402
from kerasx_mnist.data import read_idx  # noqa: E402

from kerasx.article import parts  # noqa: E402
from kerasx.article.reproduce import Reproduced, reproduce  # noqa: E402
from kerasx.builtins.article import ROWS, row_of  # noqa: E402

# 40 rows more than 30 batches of 32: the last has 8.
VALIDATION_ROWS = 1000
X_VAL = read_idx("t10k-images-idx3-ubyte")[:VALIDATION_ROWS].astype("float32") / np.float32(255)
Y_VAL = read_idx("t10k-labels-idx1-ubyte")[:VALIDATION_ROWS].astype("int64")


X = read_idx("train-images-idx3-ubyte")[:1600].astype("float32") / np.float32(255)
Y = read_idx("train-labels-idx1-ubyte")[:1600].astype("int64")


def few_digits() -> tuple[tf.data.Dataset, tf.data.Dataset]:
    train = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(1000).batch(32)
    return train, tf.data.Dataset.from_tensor_slices((X_VAL, Y_VAL)).batch(32)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> kerasx.Engine:
    return kerasx.Engine(runs=tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def rows(engine: kerasx.Engine) -> dict[int, Reproduced]:
    """All ten on the first 1,600 digits, two epochs each."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("kerasx.article.parts", "kerasx.article.causes"):
            __import__(module)
            patch.setattr(f"{module}.mnist", few_digits)
        return {row.number: reproduce(row, engine, epochs=2) for row in ROWS}


def outputs(rows: dict[int, Reproduced], number: int, engine: kerasx.Engine) -> Any:
    return engine.predict(rows[number].runs[0], X_VAL)


def squares(predictions: Any, labels: Any) -> Any:
    return np.square(np.eye(10, dtype="float32")[labels] - predictions).sum(axis=1)


def test_the_article_has_ten_rows_that_name_its_strategies() -> None:
    assert [row.number for row in ROWS] == list(range(1, 11))
    assert {row.strategy for row in ROWS} == {"gradient-tape", "compiled-fit", "custom-step"}
    for row in ROWS:
        assert all(0.9 < figure < 1 for figure in row.article.values())


def test_rows_that_differ_in_the_step_alone_train_the_same(rows: dict[int, Reproduced]) -> None:
    """Tape, compiled fit, custom step, wrong meter, raw loss: one loss; the tenth's SGD too."""
    losses = {number: rows[number].measured["loss"] for number in (1, 4, 6, 7, 9)}
    assert set(losses.values()) == {rows[10].measured["sgd"]["loss"]}
    assert rows[8].measured["loss"] != rows[6].measured["loss"]
    assert rows[1].measured["accuracy"] == rows[6].measured["accuracy"]
    assert rows[2].measured["loss"] == pytest.approx(rows[5].measured["loss"], rel=1e-5)
    assert rows[3].measured["loss"] == pytest.approx(rows[4].measured["loss"] / 10, rel=1e-3)


def test_the_ten_is_measured(rows: dict[int, Reproduced]) -> None:
    assert rows[2].measured["loss_ratio"] == pytest.approx(10, rel=1e-5)
    assert "10.000 times" in rows[2].note
    assert rows[2].measured["accuracy"] < rows[3].measured["accuracy"]


def test_the_wrong_meter_counts_one_sample_a_batch(
    rows: dict[int, Reproduced], engine: kerasx.Engine
) -> None:
    predictions = outputs(rows, 7, engine).argmax(axis=1)
    counted = [
        Y_VAL[start : start + 32].argmax() == predictions[start : start + 32].argmax()
        for start in range(0, VALIDATION_ROWS, 32)
    ]
    measured = rows[7].measured
    assert measured["meter"] == "CategoricalAccuracy"
    assert measured["val_accuracy"] == pytest.approx(np.mean(counted), abs=1e-6)
    assert measured["val_true_accuracy"] == pytest.approx((predictions == Y_VAL).mean(), abs=1e-6)
    assert measured["true_accuracy"] == rows[6].measured["accuracy"]
    assert f"{measured['val_accuracy']:.2%}" in rows[7].note
    assert f"{measured['val_true_accuracy']:.2%}" in rows[7].note


def test_the_raw_loss_is_thrown_away_or_the_last_batchs(
    rows: dict[int, Reproduced], engine: kerasx.Engine
) -> None:
    predictions = outputs(rows, 9, engine)
    each = squares(predictions, Y_VAL)
    measured = rows[9].measured
    assert measured["val_loss"] == 0
    assert measured["rows_of_last_batch"] == 8
    assert measured["val_raw_loss"] == pytest.approx(each[-8:].sum() / 32, rel=1e-4)
    assert measured["true_val_loss"] == pytest.approx(each.mean(), rel=1e-4)
    assert measured["val_raw_loss"] < measured["loss"]
    assert "the last batch's" in rows[9].note
    assert "not the last" not in rows[9].note


def test_the_tenth_row_is_in_tensorboard_twice(rows: dict[int, Reproduced]) -> None:
    for run in rows[10].runs:
        assert list(Path(run).glob("tensorboard/train/events.out.*"))
    assert len(rows[10].runs) == 2
    assert rows[10].measured["accuracy"] > rows[10].measured["sgd"]["accuracy"]


def test_rows_are_experiments_that_their_files_repeat(
    rows: dict[int, Reproduced], engine: kerasx.Engine
) -> None:
    for number in (5, 7):
        experiment = kerasx.Experiment.from_toml(Path(rows[number].runs[0]) / "experiment.toml")
        assert not experiment.objects
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parts, "mnist", few_digits)
            assert engine.train(experiment).history["loss"][-1] == rows[number].measured["loss"]


def test_rows_on_the_command_line(tmp_path: Path) -> None:
    """On all of MNIST, one epoch."""
    command = [sys.executable, "-m", "kerasx", "reproduce", "--row", "7", "--epochs", "1", "--json"]
    done = subprocess.run([*command, "--runs", tmp_path], capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert list(document) == ["rows"]
    (row,) = document["rows"]
    assert list(row) == ["row", "strategy", "article", "measured", "note"]
    assert (row["row"], row["strategy"]) == (7, "custom-step")
    assert row["article"] == {"accuracy": 0.9179, "true_accuracy": 0.96}
    assert row["measured"]["val_true_accuracy"] > 0.9 > row["measured"]["val_accuracy"]
    assert "row 7: custom-step" in done.stderr
    assert len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_reproduced(tmp_path: Path) -> None:
    with pytest.raises(kerasx.UsageError, match="no row 11: the article has rows 1 to 10"):
        row_of(11)
    with pytest.raises(kerasx.UsageError, match="`epochs` is 0"):
        reproduce(row_of(6), kerasx.Engine(runs=tmp_path), epochs=0)
