"""Values and names as Python has them, and as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def plain_value(value: Any) -> Any:
    """A float of what holds one number, a list of what holds several; anything else as it is."""
    if hasattr(value, "numpy"):
        value = value.numpy()
    try:
        return float(value)
    except (TypeError, ValueError):
        return value.tolist() if hasattr(value, "tolist") else value


def shown_value(value: Any) -> str:
    """A value of the logs for people: four digits of a number."""
    return f"{value:.4g}" if isinstance(value, int | float) else "-" if value is None else str(value)


def shown_apart(a: Any, b: Any) -> tuple[str, str]:
    """Two values for people: as many digits as tell them apart, four at least."""
    if a != b and all(isinstance(each, int | float) for each in (a, b)):
        for digits in range(4, 18):
            ours, theirs = (f"{each:.{digits}g}" for each in (a, b))
            if ours != theirs:
                return ours, theirs
    return shown_value(a), shown_value(b)


def named_values(logs: dict[str, Any]) -> list[str]:
    """Logs as `name value`, validation after training."""
    names = sorted(logs, key=lambda name: (name.startswith("val_"), not name.endswith("loss"), name))
    return [f"{name} {shown_value(logs[name])}" for name in names]


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names in a line."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"`{each}`" for each in names[:most]) + more
