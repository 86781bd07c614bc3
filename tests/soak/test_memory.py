"""Memory of many trainings in one process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from resuming import experiment

import kerasx


@pytest.fixture
def engine(tmp_path: Path) -> kerasx.Engine:
    return kerasx.Engine(runs=tmp_path / "runs")


@pytest.mark.parametrize(
    ("strategy", "execution", "jit"),
    [
        ("gradient-tape", "fused", False),
        ("gradient-tape", "fused", True),
        ("custom-step", "graph", False),
        ("compiled-fit", "graph", False),
        ("compiled-fit", "graph", True),
    ],
)
@pytest.mark.parametrize("data", ["rows", "mnist"])
def test_twenty_trainings_in_one_process_leave_no_memory_behind(
    engine: kerasx.Engine, strategy: str, execution: str, jit: bool, data: str
) -> None:
    """Resident memory after the 20th within a tenth of that after the 3rd."""
    values: dict[str, Any] = {"epochs": 1, "strategy": strategy, "execution": execution, "jit": jit}
    sizes = []
    for number in range(20):
        if data == "rows":
            engine.train(experiment(callbacks=[], seed=number, **values))
        else:
            engine.train(
                model="mlp",
                dataset="mnist",
                loss="sum-squared-error",
                metrics=["accuracy"],
                batch_size=500,
                seed=number,
                **values,
            )
        sizes.append(_resident())
    assert sizes[-1] < 1.1 * sizes[2], sizes


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
