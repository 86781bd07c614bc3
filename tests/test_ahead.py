"""Data sets that are loaded while TensorFlow is imported, in processes that have not imported it yet."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import json, sys, threading
import numpy as np
import kerasx
from kerasx import DatasetSpec, hookimpl

told = []

def rows(count=64):
    told.append(threading.current_thread() is threading.main_thread())
    if count < 0:
        raise ValueError(f"{count} rows")
    x = np.random.default_rng(0).integers(0, 256, (count, 8)).astype("float32") / np.float32(255)
    return {"x_train": x, "y_train": (x[:, 0] > 0.5).astype("int64")}

class Plugin:
    @hookimpl
    def kerasx_datasets(self):
        return [DatasetSpec("rows", "Rows.", rows, plain=plain)]

plain, options, engines = json.loads(sys.argv[1])
for _ in range(engines):
    try:
        engine = kerasx.Engine(plugins=[Plugin()], runs=sys.argv[2])
        run = engine.train(
            dataset={"name": "rows", **options}, model={"name": "mlp"}, epochs=1, batch_size=16,
            loss="sparse_categorical_crossentropy",
        )
        print(json.dumps([told, run.weights_digest]))
    except kerasx.KerasxError as error:
        print(json.dumps([told, type(error).__name__, str(error)]))
"""

# What was found of an array ahead of the first run is not asked for by it, and the array then changes.
CHANGED = """
import json, sys
import numpy as np
import kerasx
from kerasx import DatasetSpec, hookimpl
from kerasx.data import codes

codes.WORTHWHILE = 0
x = np.random.default_rng(0).integers(0, 256, (64, 8)).astype("float32") / np.float32(255)
y = (x[:, 0] > 0.5).astype("int64")

class Plugin:
    @hookimpl
    def kerasx_datasets(self):
        return [DatasetSpec("rows", "Rows.", lambda: {"x_train": x, "y_train": y}, plain=True)]

def trained(dataset, execution):
    return kerasx.Engine(plugins=[Plugin()], runs=sys.argv[1]).train(
        dataset=dataset, model={"name": "mlp"}, epochs=1, batch_size=16,
        loss="sparse_categorical_crossentropy", execution=execution, jit=False,
    ).weights_digest

before = trained("rows", "graph")
x.flags.writeable = True
x[:32] = 1 - x[:32]
x.flags.writeable = False
print(json.dumps([before, trained("rows", "fused"), trained((x.copy(), y), "fused")]))
"""


def outcomes(runs: Path, *, plain: bool, engines: int = 1, **options: Any) -> list[list[Any]]:
    """For each engine, on which threads data was made (true for the main one), and the digest or error."""
    arguments = [json.dumps([plain, options, engines]), str(runs)]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_plain_data_set_is_loaded_in_a_thread_and_once_tensorflow_is_there_as_any_other(
    tmp_path: Path,
) -> None:
    first, second = outcomes(tmp_path, plain=True, engines=2)
    assert first[0] == [False]
    assert second[0] == [False, True]
    assert first[1] == second[1]


def test_no_other_data_set_is(tmp_path: Path) -> None:
    assert outcomes(tmp_path, plain=False)[0][0] == [True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": -1}, "The data set `rows`"),
        ({"cuont": 8}, "Did you mean `count`?"),
    ],
)
def test_its_errors_are_those_of_any_other(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    plain, other = (outcomes(tmp_path, plain=each, **options)[0] for each in (True, False))
    assert plain[1:] == other[1:]
    assert message in plain[2] or "-1 rows" in plain[2]
    assert not list(tmp_path.iterdir())


def test_what_was_found_ahead_of_a_run_is_not_used_by_the_next(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CHANGED, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before, after, expected = json.loads(done.stdout)
    assert after == expected
    assert after != before
