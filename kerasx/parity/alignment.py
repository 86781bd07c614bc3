"""Says which step of one trace is to be held against which of another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from kerasx.parity.records import StepTrace

# Epoch, step and kind; and how often these have been there before, as a loop may use a batch twice.
_Place = tuple[int, int | None, str, int]


def aligned(
    ours: Sequence[StepTrace], theirs: Sequence[StepTrace]
) -> Iterator[tuple[StepTrace | None, StepTrace | None]]:
    """Pairs of steps of one epoch, number and kind, in order; None where one side has no such step."""
    left, right = _placed(ours), _placed(theirs)
    waiting = list(right)
    for place, step in left.items():
        if place in waiting:
            while (other := waiting.pop(0)) != place:
                if other not in left:
                    yield None, right[other]
        yield step, right.get(place)
    yield from ((None, right[other]) for other in waiting if other not in left)


def _placed(steps: Sequence[StepTrace]) -> dict[_Place, StepTrace]:
    seen: Counter[tuple[int, int | None, str]] = Counter()
    found: dict[_Place, StepTrace] = {}
    for step in steps:
        at = (step.epoch, step.step, step.kind)
        found[*at, seen[at]] = step
        seen[at] += 1
    return found
