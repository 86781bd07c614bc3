"""What comparisons of small programs share: an experiment, and a folder with a file of programs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FIELDS: dict[str, Any] = {
    "model": "mine.py:build",
    "dataset": "mine.py:data",
    "loss": "mean_squared_error",
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.01},
    "execution": "eager",
    "epochs": 1,
    "batch_size": 16,
}


@contextlib.contextmanager
def working_in(folder: Path, programs: str) -> Iterator[Path]:
    """Work in a folder whose file `mine.py` has the programs."""
    (folder / "mine.py").write_text(programs)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder
