"""Keeps several trainings in lockstep over their first steps, and says in what they differ."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from kerasx.assembly.blame import is_of_library
from kerasx.errors import UsageError
from kerasx.experiment import Experiment
from kerasx.parity.draws import strange_streams
from kerasx.parity.first_steps import EPOCHS
from kerasx.parity.judge import RANDOM_NUMBERS, SLOT, Difference, decides, differences
from kerasx.parity.noise import measure
from kerasx.parity.records import Trace
from kerasx.parity.sides import AS_IT_COMES, Named, alike
from kerasx.parity.storage import save_trace, trace_folders
from kerasx.parity.taken import Taken
from kerasx.registry import Registry

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
        self._looked_at: list[Named] = []
        self._sides = sides
        self._registry = registry
        self._told = told
        # Of the epochs that all of them have: that there are other numbers of them shows in the ends.
        self._epochs = min([EPOCHS, *(side.experiment.epochs for side in sides if side.trace is None)])
        self._stages: Taken | None = None
        self._states: Taken | None = None
        self._without_draws: Taken | None = None

    def pair(self, a: int, b: int) -> list[Difference] | None:
        """The differences of two sides: of their stages where they step differently, or as executed.

        Returns:
            In order; None where steps of a side cannot be seen at all.
        """
        found: list[Difference] | None = []
        if any(side.trace is not None for side in self._sides):
            return self._found(self._traced(), a, b)
        are_eager = all(self._sides[each].experiment.execution == "eager" for each in (a, b))
        is_one = alike(self._sides[a].eager.experiment, self._sides[b].eager.experiment)
        if self.is_traceable and (are_eager or not is_one):
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
        if are_eager:
            return found
        if self._stages is not None and any(self._stages.steps[each].slipped is not None for each in (a, b)):
            return found  # without seams there is no telling one step from the next
        executed = self.executed(a, b)
        if executed is None:
            # What their stages show holds, if they were traced.
            return found if self._stages is not None and self.is_traceable else None
        return executed or found

    def executed(self, a: int, b: int) -> list[Difference] | None:
        """The differences of two sides as they are executed, in their states before and after each step.

        Returns:
            In order; None where steps of a side cannot be seen.
        """
        single = [replace(side, experiment=_one_step_a_call(side.experiment)) for side in self._sides]
        if self._states is None:
            self._told("taking the first steps as they are executed")
            self._states = self._taken(single, observes=False)
        executed = self._found(self._states, a, b)
        if executed is None:
            return None
        if self._stages is not None and any(self._stages.steps[each].brings_optimizer for each in (a, b)):
            # Whose slots are seen where stages are; the model's own tell nothing.
            executed = [each for each in executed if not each.quantity.startswith(SLOT)]
        executions = {self._sides[each].experiment.execution for each in (a, b)}
        if decides(executed) and self.is_traceable and len(executions) > 1:
            self._note_streams(a, b)  # in one execution, which both have, they do the same
        if decides(executed) and self._sides[a].experiment.jit != self._sides[b].experiment.jit:
            if self._without_draws is None:
                self._told("taking them without random numbers, of which XLA draws others")
                self._without_draws = self._taken(single, observes=False, draws=False)
            if not decides(self._found(self._without_draws, a, b) or ()):
                return [_by_random_numbers(executed, a_has_jit=bool(self._sides[a].experiment.jit))]
        return executed

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

    def experiments_apart(self, a: int, b: int) -> list[str]:
        """The fields, but for the strategy, in which the experiments of two sides that were traced differ."""
        ours, theirs = (self._traced().steps[each].trace.about.get("experiment", {}) for each in (a, b))
        own = {"strategy", "callbacks", *AS_IT_COMES}
        return sorted(
            field
            for field in {*ours, *theirs} - own
            if json.dumps(ours.get(field), default=str) != json.dumps(theirs.get(field), default=str)
        )

    def save(self, folder: Path) -> list[str]:
        """Keep the traces of all sides.

        Returns:
            Where they are.
        """
        if not self.is_traceable:
            return []
        taken = self._traced()
        folders = trace_folders(self._sides)
        told = []
        for side, steps in zip(self._sides, taken.steps, strict=True):
            path = folder / folders[side.name]
            save_trace(path, steps, taken.noise)
            told.append(f"the trace of {side.name} is {path}")
        return told

    def save_one(self, path: Path) -> None:
        """Keep the trace of the first side under a path of its own."""
        taken = self._traced()
        save_trace(path, taken.steps[0], taken.noise)

    def _traced(self) -> Taken:
        if self._stages is None:
            self._told("tracing the first steps, stage by stage")
            self._stages = self._taken([side.eager for side in self._sides], observes=True)
        return self._stages

    def _found(self, taken: Taken, a: int, b: int) -> list[Difference] | None:
        ours, theirs = taken.steps[a], taken.steps[b]
        if ours.slipped is None and theirs.slipped is None:
            return taken.differences(a, b)
        if not (ours.has_training and theirs.has_training):
            return None
        if any(self._sides[each].trace is not None for each in (a, b)):
            # Each step starts from what the one before it left, in which rounding grows.
            return differences(_first_epoch(ours.trace), _first_epoch(theirs.trace), taken.noise)
        return self._led_by_slipped(a, b, taken)

    def _led_by_slipped(self, a: int, b: int, taken: Taken) -> list[Difference] | None:
        """The differences of two sides of which one goes from update to update by itself, and so leads.

        The other one, which starts each step from the states that were seen there, is in step with it.
        """
        leading, led = (a, b) if taken.steps[a].slipped is not None else (b, a)
        leader = taken.steps[leading]
        follower = taken.follow(led, leading)
        if not follower.has_training:
            return None
        noise = measure(leader.trace, taken.repeated(leading, leading, by_updates=True))
        ours, theirs = (leader, follower) if leading == a else (follower, leader)
        return differences(ours.trace, theirs.trace, noise)

    def _taken(self, sides: Sequence[Named], *, observes: bool, draws: bool = True) -> Taken:
        taken = Taken(sides, self._registry, self._epochs, observes=observes, draws=draws)
        for note in taken.notes:
            self._note(note)
        return taken

    def _note_streams(self, a: int, b: int) -> None:
        """Tell of random numbers that are others in another execution, whatever the seed."""
        for number in (a, b):
            side = self._sides[number]
            if not any(alike(side.eager.experiment, each.eager.experiment) for each in self._looked_at):
                self._looked_at.append(side)
                for stream in strange_streams(side, self._registry):
                    self._note(f"{side.name} draws random numbers from {stream}")

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _first_epoch(trace: Trace) -> Trace:
    return replace(trace, steps=[step for step in trace.steps if step.epoch == 0 and step.kind == "training"])


def _by_random_numbers(found: Sequence[Difference], *, a_has_jit: bool) -> Difference:
    """The first difference, where it is that of random numbers, as steps without any showed."""
    first = next(each for each in found if each.beyond and each.decides)
    a, b = ("XLA's", "TensorFlow's") if a_has_jit else ("TensorFlow's", "XLA's")
    return replace(first, stage="forward", quantity=RANDOM_NUMBERS, a=a, b=b, ratio=None)


def _one_step_a_call(experiment: Experiment) -> Experiment:
    return experiment.with_values(steps_per_call=1)
