"""`kerasx bench`: every row in a process of its own, set beside `model.fit`."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import kerasx
from kerasx.bench.contestants import FIT, Contestant, chosen, contestants
from kerasx.bench.measurement import Row, measure
from kerasx.errors import UsageError

ROWS, TEST_ROWS, BATCH = 100, 40, 32
STRATEGIES = [
    ["compiled-fit", ("graph", "fused", "eager"), True],
    ["gradient-tape", ("fused", "graph", "eager"), True],
    ["theirs", ("eager",), False],
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A measurement of a small network, with a row that cannot be measured."""
    folder = tmp_path_factory.mktemp("bench")
    random = np.random.RandomState(0)
    arrays = {
        "x_train": random.rand(ROWS, 4, 3).astype("float32"),
        "y_train": np.arange(ROWS) % 5,
        "x_test": random.rand(TEST_ROWS, 4, 3).astype("float32"),
        "y_test": np.arange(TEST_ROWS) % 5,
    }
    np.savez(folder / "rows.npz", **arrays)
    # A pure-Python operation in the loss, which XLA cannot compile.
    (folder / "own.py").write_text(
        "import tensorflow as tf\n"
        "def loss(y_true, y_pred):\n"
        "    error = tf.square(tf.one_hot(tf.cast(tf.reshape(y_true, [-1]), tf.int32), 5) - y_pred)\n"
        "    same = tf.numpy_function(lambda e: e, [tf.stop_gradient(error)], tf.float32)\n"
        "    return error + 0 * tf.ensure_shape(same, error.shape)\n"
    )
    command = [sys.executable, "-m", "kerasx", "bench", "--json", "-q", "--rounds", "1"]
    command += ["--dataset", str(folder / "rows.npz"), "--loss", f"{folder}/own.py:loss"]
    command += ["--epochs", "3", "--set", "model.hidden=[6]"]
    for name in ("custom-step", "gradient-tape fused", "gradient-tape fused jit", "gradient-tape e"):
        command += ["--only", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_each_row_says_how_long_an_epoch_takes_and_how_that_compares(report: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in report["rows"]}
    steps = -(-ROWS // BATCH)
    assert report["steps_per_epoch"] == steps
    fit = rows["model.fit"]
    assert fit["ratio"] == 1.0
    for name in ("model.fit", "custom-step", "gradient-tape fused"):
        row = rows[name]
        assert row["error"] is None
        assert len(row["rounds"][0]) == 3, name
        # The first epoch is not counted.
        assert row["epoch_seconds"] == statistics.median(row["rounds"][0][1:])
        assert row["ratio"] == fit["epoch_seconds"] / row["epoch_seconds"]
        assert row["steps_per_second"] == steps / row["epoch_seconds"]
        assert 2**27 < row["peak_bytes"] < 2**33
        assert row["process_seconds"] > sum(row["rounds"][0])


def test_bits_are_compared_with_fit_at_the_jit_that_was_in_force(report: dict[str, Any]) -> None:
    """The default falls back from jit here, and is set beside `fit` without."""
    rows = {row["name"]: row for row in report["rows"]}
    assert rows["custom-step"]["bits"] == "identical"
    assert rows["gradient-tape fused"]["bits"] == "identical"
    # It shuffles by itself, so that there is nothing to compare.
    assert rows["model.fit"]["bits"] is None


def test_a_row_that_cannot_be_measured_says_why(report: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in report["rows"]}
    assert rows["gradient-tape fused jit"]["epoch_seconds"] is None
    assert "XLA" in rows["gradient-tape fused jit"]["error"]


def test_eager_rows_are_measured_on_a_share_and_scaled_up(report: dict[str, Any]) -> None:
    row = next(row for row in report["rows"] if row["name"] == "gradient-tape eager")
    assert row["share"] == 0.1
    assert row["error"] is None
    # One batch is the least.
    scale = ROWS / BATCH
    assert row["epoch_seconds"] == pytest.approx(scale * statistics.median(row["rounds"][0][1:]))


def test_the_arithmetic_of_an_epoch_is_counted(report: dict[str, Any]) -> None:
    """12 inputs, 6 hidden units, 5 outputs: two operations a weight and row forward, four backward."""
    products = 2 * (12 * 6 + 6 * 5)
    # Of the first layer no gradient flows to the inputs.
    train = 3 * products - 2 * 12 * 6
    least = 4 * BATCH * train + 2 * BATCH * products
    assert least <= report["operations_per_epoch"] < 2 * least
    assert report["matrix_product_rate"] > 1e9
    assert report["floor_seconds"] == report["operations_per_epoch"] / report["matrix_product_rate"]
    assert report["machine"]["processors"] >= 1
    assert report["machine"]["versions"]["keras"]


def test_every_strategy_is_a_row_in_each_of_its_executions() -> None:
    names = [each.name for each in contestants(STRATEGIES, has_plain_network=False)]
    assert names == [
        "model.fit",
        "model.fit jit",
        "eager tape",
        "XLA epoch loop",
        "compiled-fit",
        "compiled-fit eager",
        "compiled-fit graph",
        "compiled-fit graph jit",
        "compiled-fit fused",
        "compiled-fit fused jit",
        "gradient-tape",
        "gradient-tape eager",
        "gradient-tape graph",
        "gradient-tape graph jit",
        "gradient-tape fused",
        "gradient-tape fused jit",
        "theirs",
        "theirs eager",
    ]


def test_rows_are_chosen_by_name_or_by_its_beginning() -> None:
    everybody = contestants(STRATEGIES, has_plain_network=False)

    def names(*only: str) -> list[str]:
        return [each.name for each in chosen(everybody, only)]

    assert names("gradient-tape") == ["model.fit", "gradient-tape"]
    assert names("gradient-tape graph j", "eager") == ["model.fit", "eager tape", "gradient-tape graph jit"]
    with pytest.raises(UsageError, match=r"no row `gradient-tap fused`.*gradient-tape fused"):
        names("gradient-tap fused")


def test_medians_are_taken_of_epochs_and_then_of_rounds() -> None:
    row = Row(Contestant("one"))
    assert row.epoch_seconds is None
    for epochs in ([9.0, 1.0, 3.0, 2.0], [9.0, 8.0, 8.0, 8.0], [9.0, 4.0, 4.0, 4.0]):
        row.rounds.append({"epochs": epochs, "compile_seconds": 1.0, "peak_bytes": 1, "process_seconds": 1.0})
    assert row.epoch_seconds == 4.0
    assert row.compile_seconds == 1.0 + 5.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 1}, "at least 2 epochs"),
        ({"dataset": (np.zeros((4, 2)), np.zeros(4)), "loss": "mse"}, "dataset by reference"),
    ],
)
def test_what_cannot_be_measured_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        measure(kerasx.Experiment(**values))


def test_fit_is_always_a_row() -> None:
    assert chosen([FIT, Contestant("other")], ["other"])[0] is FIT
