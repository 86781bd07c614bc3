"""Numbers that were estimated, as somebody would have written them."""

from __future__ import annotations

import math


def as_written(value: float, tolerance: float = 2e-4) -> float:
    """A number as somebody would have written it, where it is near one."""
    for digits in (1, 2, 3):
        near = float(f"{value:.{digits}g}")
        if math.isclose(near, value, rel_tol=tolerance):
            return near
    return value
