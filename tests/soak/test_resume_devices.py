"""Runs on several devices are gone on with; in a process of their own, as TensorFlow starts with so many."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys, kerasx
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from resuming import STEPS, experiment, interrupted, outcome, resumed

engine = kerasx.Engine(runs=sys.argv[2])
values = {"strategy": sys.argv[3], "execution": "graph", "jit": False, "devices": 2}
whole = outcome(engine.train(experiment(**values)))
directory = interrupted(engine, STEPS + 4, **values)
assert outcome(resumed(engine, directory, **values)) == whole
# Of another model, of which TensorFlow would take the reductions for those of the first.
engine.train(experiment(**{**values, "model": "mlp", "callbacks": [], "epochs": 1}))
"""


@pytest.mark.parametrize("strategy", ["compiled-fit", "gradient-tape"])
def test_what_each_device_has_is_kept(tmp_path: Path, strategy: str) -> None:
    """Metrics and moving statistics, which are not the same on all."""
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", CODE, tests, str(tmp_path), strategy],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
