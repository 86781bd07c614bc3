"""Judges what trainings come to: against trainings of one side that noise was put into."""

from __future__ import annotations

from collections.abc import Sequence

from kerasx.parity.first_steps import end_trace
from kerasx.parity.judge import Difference, Envelope, differences
from kerasx.parity.lockstep import Told
from kerasx.parity.noise import ModelDisturbance, measure
from kerasx.parity.records import StepTrace, Trace
from kerasx.parity.result import Side
from kerasx.parity.sides import Named
from kerasx.parity.state import FullState
from kerasx.parity.training import train_side
from kerasx.parity.writing import write_logs
from kerasx.registry import Registry


class Ends:
    """What trainings come to, beside trainings of one side that noise was put into before each call.

    Args:
        sides: What is compared.
        ends: How their trainings went.
        states: What their trainings ended with; None where that is not known.
        registry: The engine's plugins.
        told: Told what is being done.
    """

    def __init__(
        self,
        sides: Sequence[Named],
        ends: Sequence[Side],
        states: Sequence[FullState | None],
        registry: Registry,
        told: Told,
    ) -> None:
        self._sides = sides
        self._ends = ends
        self._states = states
        self._registry = registry
        self._told = told
        self._noise: dict[int, Envelope] = {}

    def pair(self, a: int, b: int) -> list[Difference]:
        """The differences of what two trainings report, epoch by epoch, and of what they end with."""
        states = [self._states[each] for each in (a, b)]
        known = all(state is not None for state in states)
        ours, theirs = (
            _trace(self._ends[each], state if known else None)
            for each, state in zip((a, b), states, strict=True)
        )
        repeatable = [each for each in (a, b) if not self._sides[each].changed]
        if not repeatable:
            return differences(ours, theirs)
        faster = min(repeatable, key=lambda each: self._ends[each].seconds)
        if faster not in self._noise:
            side = self._sides[faster]
            self._told(f"training {side.name} with noise, twice")
            disturbed = [train_side(side, self._registry, ModelDisturbance(seed)) for seed in (1, 2)]
            self._noise[faster] = measure(
                _trace(self._ends[faster], self._states[faster]),
                [_trace(end, state) for end, state in disturbed],
            )
        return differences(ours, theirs, self._noise[faster])


def _trace(end: Side, state: FullState | None) -> Trace:
    """How a training went, as a trace whose steps are epochs."""
    trace = Trace(end.name)
    epochs = max((len(values) for values in end.history.values()), default=0)
    for epoch in range(epochs):
        step = StepTrace(epoch, None, "end")
        if not epoch:
            step.add("data", "number of epochs", str(epochs), "decides")
        logs = {name: values[epoch] for name, values in end.history.items() if epoch < len(values)}
        write_logs(step, "reported", logs)
        trace.steps.append(step)
    if state is not None:
        last = end_trace(state, epochs - 1)
        write_logs(last.steps[0], "evaluated", end.evaluation)
        trace.steps += last.steps
    return trace
