"""A hundred kills at random moments, of random strategies and executions; none changes a bit."""

from __future__ import annotations

from pathlib import Path

import pytest
from killing import EXECUTIONS, killed


@pytest.mark.parametrize("seed", range(28))
def test_no_kill_changes_a_bit(tmp_path: Path, seed: int) -> None:
    found = killed(tmp_path, seed, kills=5, execution=EXECUTIONS[seed % len(EXECUTIONS)])
    print(f"{found.described}: killed at {', '.join(found.kills)}")
    assert found.kills
    assert found.got == found.expected
