"""Small curves of characters, for terminals and notebooks."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"


def curve(values: Sequence[float], width: int = 20) -> str:
    """Values as a line of bars, from the smallest to the largest; `!` for one that is not finite."""
    if width < 2:
        values = values[-width:]
    elif len(values) > width:
        values = [values[round(place * (len(values) - 1) / (width - 1))] for place in range(width)]
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    half = (high / 2 - low / 2) or 1.0  # of a whole span there may be no float
    return "".join(
        _BARS[round((value / 2 - low / 2) / half * (len(_BARS) - 1))] if math.isfinite(value) else "!"
        for value in values
    )
