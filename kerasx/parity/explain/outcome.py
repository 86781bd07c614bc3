"""How far the reference with some deviations goes along with a side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kerasx.parity.judge import Difference
from kerasx.parity.records import StepTrace, Trace
from kerasx.parity.reference.deviation import Deviation

Deviations = tuple[Deviation, ...]


@dataclass(frozen=True)
class Outcome:
    """How far the reference with some deviations goes along with a side.

    Attributes:
        deviations: Which.
        first: The first difference beyond noise; None where there is none.
        here: All differences of that step that are beyond noise.
        progress: The place of the step in the trace, and the stage.
        trace: The steps that were run.
        memory: What the run kept.
        ignored: Quantities that only tell of how something was done, and that nothing explains.
    """

    deviations: Deviations
    first: Difference | None
    here: tuple[Difference, ...]
    progress: tuple[int, int]
    trace: Trace
    memory: dict[Any, Any] = field(repr=False, default_factory=dict)
    ignored: frozenset[str] = frozenset()

    @property
    def matches(self) -> bool:
        """Whether the side is reproduced at every stage."""
        return self.first is None

    @property
    def telling(self) -> frozenset[str]:
        """What of the stage of the first difference only tells."""
        assert self.first is not None
        stage = self.first.stage
        return frozenset(each.quantity for each in self.here if each.stage == stage and not each.decides)

    @property
    def left(self) -> int:
        """How many differences of the step decide."""
        return sum(each.decides for each in self.here)

    @property
    def step(self) -> StepTrace:
        """The step of the first difference, as the reference has it."""
        return self.trace.steps[self.progress[0]]
