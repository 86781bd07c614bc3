"""How much memory there is."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path


def memory() -> float:
    """Bytes of the machine's memory; infinite where it does not tell."""
    found = [math.inf]
    with contextlib.suppress(AttributeError, ValueError, OSError):
        found.append(float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES"))
    with contextlib.suppress(ValueError, OSError):  # of a container, unless it says "max"
        found.append(float(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(found)
