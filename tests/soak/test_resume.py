"""Every strategy and execution is gone on with, from within an epoch, its last step, and its beginning."""

from __future__ import annotations

from pathlib import Path

import pytest
from killing import EXECUTIONS
from resuming import STEPS, experiment, interrupted, outcome, resumed

import kerasx


@pytest.mark.parametrize(("strategy", "execution", "jit"), EXECUTIONS)
def test_a_run_goes_on_at_the_very_step(tmp_path: Path, strategy: str, execution: str, jit: bool) -> None:
    engine = kerasx.Engine(runs=tmp_path / "runs")
    values = {"strategy": strategy, "execution": execution, "jit": jit}
    # A process cannot hold all that would be compiled (kerasx/compiled.py).
    for per_call in (3, None) if jit else (1, 3, 4, None) if execution == "fused" else (None,):
        whole = outcome(engine.train(experiment(**values, steps_per_call=per_call)))
        for at in (1, 3, STEPS - 1, STEPS, STEPS + 1, 2 * STEPS + 5):
            directory = interrupted(engine, at, **values, steps_per_call=per_call)
            assert outcome(resumed(engine, directory, **values, steps_per_call=per_call)) == whole
