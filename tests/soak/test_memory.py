"""Memory of many trainings in one process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from resuming import experiment

import kerasx


@pytest.fixture
def engine(tmp_path: Path) -> kerasx.Engine:
    return kerasx.Engine(runs=tmp_path / "runs")


@pytest.mark.parametrize("jit", [False, True])
def test_twenty_trainings_in_one_process_leave_no_memory_behind(engine: kerasx.Engine, jit: bool) -> None:
    """Resident memory after the 20th within a tenth of that after the 3rd."""
    sizes = []
    for number in range(20):
        engine.train(experiment(callbacks=[], epochs=1, execution="fused", jit=jit, seed=number))
        sizes.append(_resident())
    assert sizes[-1] < 1.1 * sizes[2], sizes


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
