"""What trainings before have left, collected before it adds up."""

from __future__ import annotations

import gc
import os
from pathlib import Path

# How much more memory this process may hold than it did, since the last collection.
_MORE = 1.05

_held = 0.0


def collect_garbage() -> None:
    """Collect garbage where this process has come to hold more memory, before a run loads its data.

    Models, functions and pipelines refer to each other in circles, and hold a training's data: 300 MB of
    MNIST. Python's collector counts objects, whatever they hold, and would let ten such trainings add up.
    """
    global _held
    held = _resident()
    if _held and held > _MORE * _held:
        gc.collect()
        _held = _resident()
    else:
        _held = min(held, _held or held)


def _resident() -> float:
    """Bytes of memory; 0 where the system does not tell, as elsewhere than on Linux."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError):
        return 0.0
    return float(pages * os.sysconf("SC_PAGE_SIZE"))
