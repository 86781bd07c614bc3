"""The report of a run: one HTML file that needs nothing beside it, no network and no script."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

from kerasx.files import write_text
from kerasx.plain import shown_value
from kerasx.runs.directory import REPORT, RunDirectory

if TYPE_CHECKING:
    from jinja2 import Template

# Of a chart, in the units of its SVG view box.
WIDTH, HEIGHT = 420, 200


@dataclass(frozen=True)
class Line:
    """One series of a chart.

    Attributes:
        name: As in the logs.
        points: SVG coordinates, `x,y x,y ...`.
        last: The value it ends with.
        validation: Whether it was measured on validation rows.
    """

    name: str
    points: str
    last: float
    validation: bool


@dataclass(frozen=True)
class Chart:
    """The curves of one quantity over the epochs, in training and in validation.

    Attributes:
        name: Of the quantity.
        lines: The curves.
        low: The value at the lower edge.
        high: The value at the upper edge.
        epochs: How many epochs the width stands for.
    """

    name: str
    lines: tuple[Line, ...]
    low: float
    high: float
    epochs: int


def write_report(run: RunDirectory) -> None:
    """Write `report.html` from what the run directory holds.

    Raises:
        UsageError: A file of the run is missing or damaged.
    """
    summary = run.summary
    text = _template().render(
        name=run.name,
        summary=summary,
        charts=charts(summary.get("history") or {}),
        experiment=run.experiment.to_toml(),
        environment=run.environment,
        width=WIDTH,
        height=HEIGHT,
        zip_longest=itertools.zip_longest,
        shown_value=shown_value,
    )
    write_text(run.path / REPORT, text)


@functools.cache
def _template() -> Template:
    # Only now: training is not to wait for it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("kerasx.runs", ".")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template("report.html.jinja")


def charts(history: dict[str, list[float | None]]) -> list[Chart]:
    """A chart for each quantity of a history, the loss first; values that are not finite leave a gap out."""
    names = sorted({name.removeprefix("val_") for name in history}, key=lambda name: (name != "loss", name))
    return [chart for name in names if (chart := _chart(name, history)) is not None]


def _chart(name: str, history: dict[str, list[float | None]]) -> Chart | None:
    series = {key: history[key] for key in (name, f"val_{name}") if key in history}
    finite = [value for values in series.values() for value in values if _is_finite(value)]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    epochs = max(len(values) for values in series.values())
    lines = tuple(
        Line(key, _points(values, low, high), shown[-1], key != name)
        for key, values in series.items()
        if (shown := [value for value in values if _is_finite(value)])
    )
    return Chart(name, lines, low, high, epochs)


def _points(values: list[float | None], low: float, high: float) -> str:
    """SVG points of a curve: epochs from left to right, `high` at the upper edge."""
    across = WIDTH / max(len(values) - 1, 1)
    scale = HEIGHT / (high - low) if high > low else 0.0
    return " ".join(
        f"{index * across:.1f},{HEIGHT - (value - low) * scale:.1f}"
        for index, value in enumerate(values)
        if _is_finite(value)
    )


def _is_finite(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)
