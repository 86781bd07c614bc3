"""Judges what trainings come to: against trainings of one side that noise was put into."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from kerasx.parity.first_steps import end_trace
from kerasx.parity.judge import Difference, Envelope, differences
from kerasx.parity.lockstep import Told
from kerasx.parity.noise import ModelDisturbance, measure
from kerasx.parity.records import StepTrace, Trace
from kerasx.parity.result import Side
from kerasx.parity.sides import Named
from kerasx.parity.state import FullState
from kerasx.parity.training import recorded_state, train_side
from kerasx.parity.values import MARGIN
from kerasx.parity.writing import write_logs
from kerasx.registry import Registry


class Ends:
    """What trainings come to, beside trainings of one side that noise was put into before each call.

    Args:
        sides: What is compared.
        ends: How their trainings went.
        states: What their trainings ended with; None of a run, whose model is looked for.
        unrepeatable: The numbers of those that cannot be trained again.
        registry: The engine's plugins.
        told: Told what is being done.
    """

    def __init__(
        self,
        sides: Sequence[Named],
        ends: Sequence[Side],
        states: Sequence[FullState | None],
        unrepeatable: Collection[int],
        registry: Registry,
        told: Told,
    ) -> None:
        self._sides = sides
        self._ends = ends
        self._states = dict(enumerate(states))
        self._unrepeatable = unrepeatable
        self._registry = registry
        self._told = told
        self._noise: dict[tuple[int, bool, bool], Envelope] = {}
        self._looked_for: set[int] = set()

    def pair(self, a: int, b: int) -> list[Difference]:
        """The differences of what two trainings report, epoch by epoch, and of what they end with."""
        known = self.has_states(a, b)
        ours, theirs = (_trace(self._ends[each], self._state(each) if known else None) for each in (a, b))
        repeatable = [each for each in (a, b) if each not in self._unrepeatable]
        if not repeatable:
            return differences(ours, theirs)
        faster = min(repeatable, key=lambda each: self._ends[each].seconds)
        one, other = self._sides[a].experiment, self._sides[b].experiment
        is_narrow = (one.execution, one.jit) != (other.execution, other.jit)
        found = differences(ours, theirs, self._noise_of(faster, is_narrow))
        beyond = [each for each in found if each.beyond and each.decides]
        # Rows change sides where weights or losses are rounded otherwise, and only there.
        is_rounded = any(not _may_leap(each) for each in found)
        if beyond and is_rounded and all(map(_may_leap, beyond)):
            found = differences(ours, theirs, self._noise_of(faster, is_narrow, leaps=True))
        return found

    def _noise_of(self, number: int, is_narrow: bool, *, leaps: bool = False) -> Envelope:
        """How far trainings come from one that noise is put into.

        What counts rows, such as an accuracy, leaps where a row changes sides, and in two trainings with so
        little noise none may. With `leaps` it is measured with as many times of it as are allowed for.
        """
        key = (number, is_narrow, leaps)
        if key in self._noise:
            return self._noise[key]
        side, times = self._sides[number], MARGIN if leaps else 1.0
        self._told(f"training {side.name} with {'more ' * leaps}noise, twice")
        disturbances = [ModelDisturbance(seed, is_narrow, times) for seed in (1, 2)]
        disturbed = [train_side(side, self._registry, each) for each in disturbances]
        noise = measure(
            _trace(self._ends[number], self._state(number)),
            [_trace(end, state) for end, state in disturbed],
        )
        if leaps:
            usual = self._noise_of(number, is_narrow)
            noise = {
                name: max(usual.get(name, 0.0), noise.get(name, 0.0) / MARGIN) for name in {*usual, *noise}
            }
        self._noise[key] = noise
        return noise

    def has_states(self, a: int, b: int) -> bool:
        """Whether it is known of both what variables they end with."""
        return self._state(a) is not None and self._state(b) is not None

    def _state(self, number: int) -> FullState | None:
        side = self._sides[number]
        if self._states[number] is None and side.run is not None and number not in self._looked_for:
            self._looked_for.add(number)
            self._states[number] = recorded_state(side, side.run, self._registry)
        return self._states[number]


def _may_leap(difference: Difference) -> bool:
    """Whether it is of a number that may not follow small changes of weights, as losses and weights do."""
    is_number = isinstance(difference.a, int | float) and isinstance(difference.b, int | float)
    return difference.stage == "report" and is_number and not difference.quantity.endswith("loss")


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
