"""The first steps of several sides, each from the states of one of them, with the noise that is in them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from kerasx.parity.first_steps import Steps, take_steps
from kerasx.parity.judge import Difference, differences
from kerasx.parity.noise import Disturbance, drawn_anew, measure
from kerasx.parity.records import StepTrace, Trace
from kerasx.parity.sides import Named
from kerasx.parity.storage import load_trace
from kerasx.registry import Registry

# How often the noise of one side is measured: once undisturbed, then with weights moved by one unit.
REPETITIONS = 4


class Taken:
    """The steps of all sides, in lockstep with the first whose steps can be told apart.

    Args:
        sides: What is compared, in the execution that is looked at.
        registry: The engine's plugins.
        epochs: Of how many epochs.
        observes: Whether stages are traced.
        draws: Whether layers that drop or disturb at random do so.

    Attributes:
        steps: Of each side.
        noise: As it was measured.
        notes: What could not be done, and why.
    """

    def __init__(
        self, sides: Sequence[Named], registry: Registry, epochs: int, *, observes: bool, draws: bool = True
    ) -> None:
        self._sides = sides
        self._take = functools.partial(
            take_steps, registry=registry, observes=observes, draws=draws, epochs=epochs
        )
        self.notes: list[str] = []
        self.noise: dict[tuple[str, str], float] = {}
        self._leading = 0
        self._measured: set[int] = set()
        self.steps = self._up_to_the_last_state(self._in_lockstep())
        self._tell_slipped()
        leader = self.steps[self._leading]
        if (of_leader := sides[self._leading]).trace is not None:
            self.noise = load_trace(of_leader.trace)[1]
        elif leader.has_training:
            repeated = self.repeated(self._leading, self._leading, by_updates=leader.slipped is not None)
            again = next(repeated)
            if unsteady := differences(leader.trace, again):
                self.notes.append(
                    f"{of_leader.name} does not repeat itself: {unsteady[0].quantity} differs from one state"
                )
            # What differs each time it is drawn is no noise of rounding, and excuses no difference.
            if drawn_anew(leader.trace, again) is not None:
                self._measured.update(range(len(sides)))
            else:
                self.noise = measure(leader.trace, itertools.chain([again], repeated))

    def differences(self, a: int, b: int) -> list[Difference]:
        """In what two sides differ, neither of which has slipped."""
        found = differences(self.steps[a].trace, self.steps[b].trace, self.noise)
        for number in (a, b):
            if any(self._is_unmeasured(each) for each in found) and self._measures(number):
                found = differences(self.steps[a].trace, self.steps[b].trace, self.noise)
        return found

    def follow(self, number: int, leading: int) -> Steps:
        """The steps of a side in lockstep with another one than leads all of them."""
        return self._take(
            self._sides[number],
            states=self.steps[leading].states,
            by_updates=self.steps[number].slipped is not None,
        )

    def repeated(self, number: int, leading: int, *, by_updates: bool = False) -> Iterator[Trace]:
        """The steps of a side again, from the states of one that leads, disturbed.

        One trace at a time, as each may be large.
        """
        for repetition in range(REPETITIONS):
            yield self._take(
                self._sides[number],
                states=self.steps[leading].states,
                disturbance=Disturbance(repetition) if repetition else None,
                by_updates=by_updates,
            ).trace

    def _in_lockstep(self) -> list[Steps]:
        taken: dict[int, Steps] = {}
        for number, side in enumerate(self._sides):
            leader = taken[number] = self._take(side) if side.trace is None else load_trace(side.trace)[0]
            self._leading = number
            if leader.slipped is None:
                break  # the first whose steps can be told apart leads
        for number, side in enumerate(self._sides):
            if number not in taken:
                taken[number] = (
                    self._take(side, states=leader.states)
                    if side.trace is None
                    else load_trace(side.trace)[0]
                )
        return [taken[number] for number in range(len(self._sides))]

    def _up_to_the_last_state(self, taken: list[Steps]) -> list[Steps]:
        """Without steps before which a trace on disk does not have the state, as it was too large."""
        most = [
            len(steps.states)
            for side, steps in zip(self._sides, taken, strict=True)
            if side.trace is not None and len(steps.states) < sum(map(_is_step, steps.trace.steps))
        ]
        if not most:
            return taken
        self.notes.append(
            f"the states of the first {min(most)} steps alone were kept with the trace, as those of all are"
            " too large: these are compared"
        )
        return [_first(steps, min(most)) for steps in taken]

    def _tell_slipped(self) -> None:
        for side, steps in zip(self._sides, self.steps, strict=True):
            if steps.slipped is not None:
                unseen = "" if steps.has_training else ", and its steps cannot be told apart"
                self.notes.append(f"{side.name} was not kept in lockstep: {steps.slipped}{unseen}")

    def _is_unmeasured(self, difference: Difference) -> bool:
        """Whether the leading side has no such quantity, whose noise is therefore not known."""
        key = (difference.kind, difference.quantity)
        return difference.relative is not None and key not in self.noise

    def _measures(self, number: int) -> bool:
        """Measure the noise of what the leading side lacks by a side that has it; whether it was done."""
        steps = self.steps[number]
        if number in self._measured or self._sides[number].trace is not None or steps.slipped is not None:
            return False
        self._measured.add(number)
        repeated = self.repeated(number, self._leading)
        again = next(repeated)
        if drawn_anew(steps.trace, again) is not None:
            return False
        self.noise = {**measure(steps.trace, itertools.chain([again], repeated)), **self.noise}
        return True


def _is_step(step: StepTrace) -> bool:
    """Whether a state belongs to it."""
    return step.kind in ("training", "evaluation")


def _first(steps: Steps, most: int) -> Steps:
    """The first of some steps."""
    numbers = itertools.accumulate(map(_is_step, steps.trace.steps))
    numbered = zip(steps.trace.steps, numbers, strict=True)
    kept = [step for step, number in numbered if number <= most and _is_step(step)]
    return replace(steps, trace=replace(steps.trace, steps=kept), states=steps.states[:most])
