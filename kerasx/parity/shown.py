"""What a comparison shows, as rows of tables: for terminals, and as HTML for notebooks."""

from __future__ import annotations

import html
from collections.abc import Sequence

from kerasx.curves import curve
from kerasx.parity.distributions import Distribution, contrasts
from kerasx.parity.result import Comparison, Pair, html_table
from kerasx.parity.verdict import stages
from kerasx.plain import shown_apart, shown_value

SPREADS = ("", "result", "mean", "spread", "least", "largest", "seeds")


def evidence_heads(pair: Pair) -> tuple[str, ...]:
    """The heads of what `evidence` lists."""
    return ("stage", "quantity", pair.a, pair.b, "difference", "noise")


def evidence(pair: Pair) -> list[tuple[str, ...]]:
    """For each stage the difference that is furthest beyond noise, beside that noise."""
    return [
        (
            stage,
            each.quantity,
            *shown_apart(each.a, each.b),
            "-" if each.relative is None else f"{each.relative:.1e}",
            "-" if each.noise is None else f"{each.noise:.1e}",
        )
        for stage, each in stages(pair.differences).items()
    ]


def spreads(found: Sequence[Distribution]) -> list[tuple[str, ...]]:
    """What came of several seeds, with the heads `SPREADS`."""
    return [
        (
            each.name,
            each.quantity,
            *map(shown_value, (each.mean, each.spread, min(each.values), max(each.values))),
            str(len(each.values)),
        )
        for each in found
    ]


def as_html(comparison: Comparison) -> str:
    """A comparison for notebooks: results and curves, verdicts with their evidence, seeds and notes."""
    parts = [_results(comparison), _verdicts(comparison)]
    parts += [
        html_table(evidence_heads(pair), evidence(pair)) for pair in comparison.pairs if pair.differences
    ]
    if comparison.distributions:
        parts.append(html_table(SPREADS, spreads(comparison.distributions)))
    said = [each.said for each in contrasts(comparison.distributions)]
    parts += [f"<p>{html.escape(text)}</p>" for text in (*said, *comparison.notes)]
    return "".join(parts)


def _results(comparison: Comparison) -> str:
    sides = comparison.sides
    names = list(dict.fromkeys(name for side in sides for name in side.evaluation))
    reported = list(dict.fromkeys(name for side in sides for name in side.history))
    return html_table(
        ["", "execution", "s", *names, *(f"{name} by epoch" for name in reported), "weights"],
        [
            [
                side.name,
                f"{side.execution}{' jit' if side.jit else ''}",
                f"{side.seconds:.1f}",
                *(shown_value(side.evaluation.get(name)) for name in names),
                *(_course(side.history.get(name, [])) for name in reported),
                (side.weights_digest or "")[:12],
            ]
            for side in sides
        ],
    )


def _course(values: Sequence[object]) -> str:
    """A learning curve, small, between its first and its last value."""
    numbers = [value for value in values if isinstance(value, int | float)]
    if len(numbers) < len(values) or not numbers:
        return "-"  # of a metric that is no number, or of a side that does not report it
    return f"{shown_value(numbers[0])} {curve(numbers)} {shown_value(numbers[-1])}"


def _verdicts(comparison: Comparison) -> str:
    return html_table(
        ["", "", "verdict", "affects", ""],
        [[pair.a, pair.b, pair.verdict, pair.affects or "", pair.said] for pair in comparison.pairs],
    )
