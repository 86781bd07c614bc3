"""Keeps several trainings in lockstep over their first steps, and says in what they differ."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from kerasx.assembly.blame import is_of_library
from kerasx.errors import UsageError
from kerasx.experiment import Experiment
from kerasx.parity.first_steps import EPOCHS, Steps, take_steps
from kerasx.parity.judge import RANDOM_NUMBERS, SLOT, Difference, Envelope, decides, differences
from kerasx.parity.noise import Disturbance, measure
from kerasx.parity.records import Trace
from kerasx.parity.sides import Named, alike
from kerasx.parity.storage import load_trace, save_trace, trace_folders
from kerasx.registry import Registry

# How often the noise of one side is measured: once undisturbed, then with weights moved by one unit.
REPETITIONS = 4

Told = Callable[[str], None]


class Lockstep:
    """The first steps of several sides, each from the states of one of them.

    Args:
        sides: What is compared.
        registry: The engine's plugins.
        told: Told what is being done.

    Attributes:
        notes: What could not be done, and why.
    """

    def __init__(self, sides: Sequence[Named], registry: Registry, told: Told) -> None:
        self.notes: list[str] = []
        self._sides = sides
        self._registry = registry
        self._told = told
        # Of the epochs that all of them have: that there are other numbers of them shows in the ends.
        self._epochs = min([EPOCHS, *(side.experiment.epochs for side in sides if side.trace is None)])
        self._stages: tuple[list[Steps], Envelope] | None = None
        self._states: tuple[list[Steps], Envelope] | None = None
        self._without_draws: tuple[list[Steps], Envelope] | None = None

    def pair(self, a: int, b: int) -> list[Difference] | None:
        """The differences of two sides: of their stages where they step differently, or as executed.

        Returns:
            In order; None where steps of a side cannot be seen at all.
        """
        found: list[Difference] | None = []
        if any(side.trace is not None for side in self._sides):
            return self._found(self._traced(), a, b)
        if self.is_traceable and not alike(self._sides[a].eager.experiment, self._sides[b].eager.experiment):
            try:
                found = self._found(self._traced(), a, b)
            except UsageError as error:
                if not is_of_library(error.__cause__):
                    raise
                # What a library does in a graph it need not do eagerly.
                self.notes.append(f"stages are not traced: {error}")
                self.is_traceable = False
            if found is None or decides(found):
                return found
        if all(side.experiment.execution == "eager" for side in (self._sides[a], self._sides[b])):
            return found
        if self._stages is not None and any(self._stages[0][each].slipped is not None for each in (a, b)):
            return found  # without seams there is no telling one step from the next
        single = [replace(side, experiment=_one_step_a_call(side.experiment)) for side in self._sides]
        if self._states is None:
            self._told("taking the first steps as they are executed")
            self._states = self._taken(single, observes=False)
        executed = self._found(self._states, a, b)
        if executed is None:
            # What their stages show holds, if they were traced.
            return found if self._stages is not None and self.is_traceable else None
        if self._stages is not None and any(self._stages[0][each].brings_optimizer for each in (a, b)):
            # Whose slots are seen where stages are; the model's own tell nothing.
            executed = [each for each in executed if not each.quantity.startswith(SLOT)]
        if decides(executed) and self._sides[a].experiment.jit != self._sides[b].experiment.jit:
            if self._without_draws is None:
                self._told("taking them without random numbers, of which XLA draws others")
                self._without_draws = self._taken(single, observes=False, draws=False)
            if not decides(self._found(self._without_draws, a, b) or ()):
                return [_by_random_numbers(executed, a_has_jit=bool(self._sides[a].experiment.jit))]
        return executed or found

    @functools.cached_property
    def is_traceable(self) -> bool:
        """Whether all sides can be executed eagerly, which shows what happens within a step."""
        for side in self._sides:
            if side.trace is not None:
                continue
            if "eager" not in side.chosen(self._registry).strategy.capabilities.executions:
                self.notes.append(f"stages are not traced: {side.name} has no eager execution")
                return False
        return True

    def save(self, folder: Path) -> list[str]:
        """Keep the traces of all sides.

        Returns:
            Where they are.
        """
        if not self.is_traceable:
            return []
        taken, noise = self._traced()
        folders = trace_folders(self._sides)
        told = []
        for side, steps in zip(self._sides, taken, strict=True):
            path = folder / folders[side.name]
            save_trace(path, steps, noise)
            told.append(f"the trace of {side.name} is {path}")
        return told

    def save_one(self, path: Path) -> None:
        """Keep the trace of the first side under a path of its own."""
        taken, noise = self._traced()
        save_trace(path, taken[0], noise)

    def _traced(self) -> tuple[list[Steps], Envelope]:
        if self._stages is None:
            self._told("tracing the first steps, stage by stage")
            self._stages = self._taken([side.eager for side in self._sides], observes=True)
        return self._stages

    def _found(self, taken: tuple[list[Steps], Envelope], a: int, b: int) -> list[Difference] | None:
        steps, noise = taken
        ours, theirs = steps[a], steps[b]
        if ours.slipped is None and theirs.slipped is None:
            return differences(ours.trace, theirs.trace, noise)
        if not (ours.has_training and theirs.has_training):
            return None
        if any(self._sides[each].trace is not None for each in (a, b)):
            # Each step starts from what the one before it left, in which rounding grows.
            return differences(_first_epoch(ours.trace), _first_epoch(theirs.trace), noise)
        return self._led_by_slipped(a, b, steps)

    def _led_by_slipped(self, a: int, b: int, steps: Sequence[Steps]) -> list[Difference] | None:
        """The differences of two sides of which one goes from update to update by itself, and so leads.

        The other one, which starts each step from the states that were seen there, is in step with it.
        """
        leading, led = (a, b) if steps[a].slipped is not None else (b, a)
        leader = steps[leading]
        side, other = (self._sides[each].eager for each in (leading, led))
        follower = take_steps(
            other,
            self._registry,
            observes=True,
            states=leader.states,
            by_updates=steps[led].slipped is not None,
            epochs=self._epochs,
        )
        if not follower.has_training:
            return None
        repeated = self._repeated(side, leader, observes=True, draws=True, by_updates=True)
        noise = measure(leader.trace, repeated)
        ours, theirs = (leader, follower) if leading == a else (follower, leader)
        return differences(ours.trace, theirs.trace, noise)

    def _taken(
        self, sides: Sequence[Named], *, observes: bool, draws: bool = True
    ) -> tuple[list[Steps], Envelope]:
        noise: Envelope | None = None
        taken: dict[int, Steps] = {}
        for number, side in enumerate(sides):
            if side.trace is not None:
                leader, noise = load_trace(side.trace)
            else:
                leader = take_steps(side, self._registry, observes=observes, draws=draws, epochs=self._epochs)
            taken[number] = leader
            if leader.slipped is None:
                break  # the first whose steps can be told apart leads
        for number, side in enumerate(sides):
            if number not in taken:
                taken[number] = (
                    load_trace(side.trace)[0]
                    if side.trace is not None
                    else take_steps(
                        side,
                        self._registry,
                        observes=observes,
                        states=leader.states,
                        draws=draws,
                        epochs=self._epochs,
                    )
                )
        for number, side in enumerate(sides):
            if (slipped := taken[number].slipped) is not None:
                unseen = "" if taken[number].has_training else ", and its steps cannot be told apart"
                self._note(f"{side.name} was not kept in lockstep: {slipped}{unseen}")
        leading = next(side for number, side in enumerate(sides) if taken[number] is leader)
        if noise is None and not leader.has_training:
            noise = {}
        if noise is None:
            repeated = self._repeated(
                leading, leader, observes=observes, draws=draws, by_updates=leader.slipped is not None
            )
            again = next(repeated)
            if unsteady := differences(leader.trace, again):
                self.notes.append(
                    f"{leading.name} does not repeat itself: {unsteady[0].quantity} differs from one state"
                )
            noise = measure(leader.trace, itertools.chain([again], repeated))
        return [taken[number] for number in range(len(sides))], noise

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _repeated(
        self, side: Named, leader: Steps, *, observes: bool, draws: bool, by_updates: bool = False
    ) -> Iterator[Trace]:
        """The steps again, disturbed; one trace at a time, as each may be large."""
        for number in range(REPETITIONS):
            yield take_steps(
                side,
                self._registry,
                observes=observes,
                states=leader.states,
                disturbance=Disturbance(number) if number else None,
                draws=draws,
                by_updates=by_updates,
                epochs=self._epochs,
            ).trace


def _first_epoch(trace: Trace) -> Trace:
    return replace(trace, steps=[step for step in trace.steps if step.epoch == 0 and step.kind == "training"])


def _by_random_numbers(found: Sequence[Difference], *, a_has_jit: bool) -> Difference:
    """The first difference, where it is that of random numbers, as steps without any showed."""
    first = next(each for each in found if each.beyond and each.decides)
    a, b = ("XLA's", "TensorFlow's") if a_has_jit else ("TensorFlow's", "XLA's")
    return replace(first, stage="forward", quantity=RANDOM_NUMBERS, a=a, b=b, ratio=None)


def _one_step_a_call(experiment: Experiment) -> Experiment:
    if experiment.execution != "fused":
        return experiment
    return experiment.with_values(steps_per_call=1)
