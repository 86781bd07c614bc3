"""What is to be explained: the trace of one side, with the noise that was measured beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from kerasx.parity.explain.limit import limited
from kerasx.parity.first_steps import WHOLE, Steps, take_steps
from kerasx.parity.judge import Envelope, differences
from kerasx.parity.noise import Disturbance, drawn_anew, measure
from kerasx.parity.records import OWN_METRICS, Array, Record, Reduced, StepTrace, Trace
from kerasx.parity.sides import Named
from kerasx.parity.state import FullState
from kerasx.parity.storage import load_trace
from kerasx.parity.writing import APPLIED, ORDER
from kerasx.registry import Registry
from kerasx.training.adapters import LoopStrategy

SECONDS = 120.0  # for the first steps of one side
_REPORTED = re.compile(r"(returned|reported|epoch's) (val_)?")
_REPETITIONS = 3  # once undisturbed, then with weights moved by one unit in their last place


class Target:
    """A side as it was observed.

    Args:
        name: As it was named.
        steps: What was observed.
        repeat: Takes the steps again, from the same states disturbed by so much.

    Attributes:
        name: As it was named.
        steps: What was observed.
        repeat: Takes the steps again, from the same states disturbed by so much.
    """

    def __init__(self, name: str, steps: Steps, repeat: Callable[[Disturbance | None], Trace]) -> None:
        self.name = name
        self.steps = steps
        self.repeat = repeat

    @cached_property
    def noise(self) -> Envelope:
        """As it is measured when it is first asked for: what is the same to the bit needs none."""
        if drawn_anew(self.steps.trace, self._again) is not None:
            return {}  # what differs each time it is drawn is no noise of rounding
        disturbed = [self.repeat(Disturbance(number)) for number in range(1, _REPETITIONS)]
        return measure(self.steps.trace, [self._again, *disturbed])

    @cached_property
    def unsteady(self) -> str | None:
        """A quantity in which the side does not repeat itself; None where it does."""
        found = [each for each in differences(self.steps.trace, self._again) if each.decides]
        return found[0].quantity if found else None

    @cached_property
    def _again(self) -> Trace:
        return self.repeat(None)

    @property
    def records(self) -> Sequence[StepTrace]:
        """Its steps."""
        return self.steps.trace.steps

    def state(self, place: int) -> FullState | None:
        """What the step at a place in the trace started from; None where that is not known."""
        number = sum(step.kind in ("training", "evaluation") for step in self.records[:place])
        return self.steps.states[number] if number < len(self.steps.states) else None


def apart_from(target: Target, stages: Collection[str] = (), reported: Collection[str] = ()) -> Target:
    """A side without what it does at some stages, and without what its model measures by itself.

    Args:
        target: The side.
        stages: In which it is meant to differ.
        reported: Names that Keras reports too, which stay.
    """
    own = [name for name in target.steps.trace.about.get(OWN_METRICS, ()) if name not in reported]
    if not stages and not own:
        return target

    def rest(trace: Trace) -> Trace:
        steps = []
        for step in trace.steps:
            records = {name: each for name, each in step.records.items() if each.stage not in stages}
            steps.append(replace(step, records=dict(_without(own, records))))
        return replace(trace, steps=steps)

    steps = replace(target.steps, trace=rest(target.steps.trace))
    return Target(target.name, steps, lambda disturbance: rest(target.repeat(disturbance)))


def _without(own: Collection[str], records: Mapping[str, Record]) -> Iterator[tuple[str, Record]]:
    """The records, but for what is reported under some names."""
    for quantity, record in records.items():
        reported = _REPORTED.match(quantity)
        name = quantity[reported.end() :] if reported else ""
        if name == "names" and isinstance(record.value, str):
            kept = (each for each in record.value.split(", ") if each.removeprefix("val_") not in own)
            yield quantity, replace(record, value=", ".join(kept))
        elif name not in own:
            yield quantity, record


class _Saved(Target):
    """A trace with the noise that was measured beside it."""

    def __init__(self, name: str, steps: Steps, noise: Envelope) -> None:
        super().__init__(name, steps, lambda disturbance: steps.trace)
        self._noise = noise

    @cached_property
    def noise(self) -> Envelope:
        """As it was measured."""
        return self._noise


def observe(side: Named, registry: Registry, *, seconds: float = SECONDS, whole: int = WHOLE) -> Target:
    """Trace the first steps of a side from its own states.

    Args:
        side: What to trace.
        registry: The engine's plugins.
        seconds: How long a side may take for its first steps.
        whole: As of `take_steps`.

    Raises:
        UsageError: Something in the experiment is unknown, does not fit, raises, or does not end.
        PluginError: A plugin that was asked for fails.
    """
    if side.trace is not None:
        return _Saved(side.name, *load_trace(side.trace))
    side = side.eager
    with limited(seconds, f"{side.name} has not taken its first steps"):
        first = take_steps(side, registry, observes=True, whole=whole)
        by_updates = first.slipped is not None
        if not by_updates and _steps_twice(first) and _is_loop(side, registry):
            # Of one batch it makes several updates, which are told apart by themselves.
            first = take_steps(side, registry, observes=True, by_updates=True, whole=whole)
            by_updates = True

    def repeat(disturbance: Disturbance | None) -> Trace:
        return take_steps(
            side,
            registry,
            observes=True,
            states=first.states,
            disturbance=disturbance,
            by_updates=by_updates,
            whole=whole,
        ).trace

    target = Target(side.name, first, repeat)
    if side.experiment.model.is_object:
        # Before the reference is run with the very model.
        _ = target.noise, target.unsteady
    return target


def _steps_twice(steps: Steps) -> bool:
    """Whether a step goes forward and updates more than once."""
    for step in steps.trace.steps:
        calls = [each.partition(" ")[0] for each in order(step)]
        if calls.count("apply") > 1 and "forward" in calls[calls.index("apply") :]:
            last = len(calls) - 1 - calls[::-1].index("apply")
            if "forward" in calls[calls.index("apply") : last]:
                return True
    return False


def _is_loop(side: Named, registry: Registry) -> bool:
    return isinstance(side.chosen(registry).strategy, LoopStrategy)


def array(step: StepTrace, quantity: str) -> Array | None:
    """A quantity of a step as an array; None where there is none, or it is no array."""
    record = step.records.get(quantity)
    if record is None or isinstance(record.value, str | Reduced):
        return None
    return record.value


def number(step: StepTrace, quantity: str) -> float | None:
    """A quantity that is one number."""
    value = array(step, quantity)
    return None if value is None or value.size != 1 else float(value.reshape(-1)[0])


def text(step: StepTrace, quantity: str) -> str | None:
    """A quantity that is a text."""
    record = step.records.get(quantity)
    return record.value if record is not None and isinstance(record.value, str) else None


def named(step: StepTrace, prefix: str) -> dict[str, Any]:
    """The arrays of a step whose quantities begin alike, by what follows; numbered ones left out."""
    return {
        quantity.removeprefix(prefix): record.value
        for quantity, record in step.records.items()
        if quantity.startswith(prefix) and not quantity.endswith(")") and isinstance(record.value, np.ndarray)
    }


def order(step: StepTrace) -> list[str]:
    """What followed on what in a step: forward passes with their flags, gradients, applies."""
    return [each for each in (text(step, ORDER) or "").split("; ") if each]


def applies(step: StepTrace) -> list[tuple[str, ...]]:
    """The variables of each call that applied gradients, in order."""
    found = [APPLIED, *(f"{APPLIED} ({each})" for each in range(2, 200))]
    return [tuple(names.split(", ")) for name in found if (names := text(step, name)) is not None]


def settings(step: StepTrace) -> tuple[str, dict[str, Any]] | None:
    """The class and settings of the optimizer that stepped."""
    kind, written = text(step, "optimizer"), text(step, "settings of the optimizer")
    return None if kind is None or not written else (kind, json.loads(written))


def training(target: Target) -> list[tuple[int, StepTrace]]:
    """The training steps with their places in the trace."""
    return [(place, step) for place, step in enumerate(target.records) if step.kind == "training"]
