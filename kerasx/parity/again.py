"""Says of which sides steps cannot be taken again: of runs whose code or data is not what it was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kerasx.assembly.assemble import assemble
from kerasx.assembly.isolation import isolated
from kerasx.errors import KerasxError
from kerasx.parity.judge import DIGEST, Difference
from kerasx.parity.result import Side
from kerasx.parity.sides import Named
from kerasx.registry import Registry


def unrepeatable(sides: Sequence[Named], numbers: Iterable[int], registry: Registry) -> dict[int, str]:
    """Why the steps of some sides cannot be taken again.

    Args:
        sides: What is compared.
        numbers: Which of them to look at.
        registry: The engine's plugins.

    Returns:
        A reason by number, of those sides alone.
    """
    found = {number: _reason(sides[number], registry) for number in numbers}
    return {number: reason for number, reason in found.items() if reason is not None}


def trained_otherwise(sides: Sequence[Named], ends: Sequence[Side]) -> list[str]:
    """Notes of the runs that were trained anew, with code that is not what they had."""
    return list(
        dict.fromkeys(
            f"{', '.join(end.changed)} has changed since {side.run.name}: what it says now was trained"
            for side, end in zip(sides, ends, strict=True)
            if side.run is not None and end.changed
        )
    )


def of_other_data(a: Side, b: Side) -> list[Difference]:
    """What the records of two trainings say of their data, where that was not the same."""
    if a.data_digest is None or b.data_digest is None or a.data_digest == b.data_digest:
        return []
    return [
        Difference(
            0, None, "end", "data", DIGEST, a.data_digest[:12], b.data_digest[:12], None, None, True, True
        )
    ]


def _reason(side: Named, registry: Registry) -> str | None:
    if side.run is None or not side.recorded:
        return None
    if side.changed:
        return f"{', '.join(side.changed)} has changed since {side.name}"
    recorded = side.run.environment.get("data_digest")
    if recorded is None:
        return None  # of a pipeline
    try:
        with isolated(side.experiment.seed, side.experiment.precision, afresh=True):
            # As the steps see it: with labels encoded for the loss, and without the rows that are split off.
            now = assemble(side.run.experiment, side.resolver(registry), trains=False).dataset.digest
    except KerasxError as error:
        return f"{side.name} cannot be set up again ({error})"
    return None if now == recorded else f"the data of {side.name} has changed since"
