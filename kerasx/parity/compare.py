"""Compares trainings: to the end, then step by step where their ends differ, against measured noise."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from kerasx.experiment import Experiment
from kerasx.parity.distributions import distributions
from kerasx.parity.judge import RANDOM_NUMBERS, Difference, Envelope, differences, measure
from kerasx.parity.lockstep import Disturbance, ModelDisturbance, Steps, end_trace, take_steps
from kerasx.parity.records import Trace
from kerasx.parity.result import Comparison, Pair, Side
from kerasx.parity.sides import Named
from kerasx.parity.state import FullState
from kerasx.parity.storage import load_trace, save_trace
from kerasx.parity.training import recorded_side, train_side
from kerasx.parity.verdict import judged
from kerasx.registry import Registry

# How often the noise of one side is measured: once undisturbed, then with weights moved by one unit.
REPETITIONS = 4


_TRACES_ALONE = "a trace holds first steps alone: nothing was trained to the end"

Told = Callable[[str], None]


def compare(
    sides: Sequence[Named],
    registry: Registry,
    *,
    seeds: Sequence[int] = (),
    traces: Path | None = None,
    told: Told = lambda text: None,
) -> Comparison:
    """Compare experiments pair by pair.

    Each is trained to the end. Where two ends differ in any bit, the first steps are taken again: eagerly,
    with every stage traced, where the two sides step differently, and then each as it is executed. All sides
    take each step from the same full state, that of the first side. If no step differs beyond noise, the ends
    are judged: against trainings of one side that noise was put into.

    Args:
        sides: At least two.
        registry: The engine's plugins.
        seeds: To train all sides with, for distributions of results; the first is that of the comparison.
        traces: A folder in which to keep the traces of the first steps.
        told: Told what is being done.

    Raises:
        UsageError: An experiment names something unknown, does not fit, or its code raises.
        PluginError: A plugin that was asked for fails.
    """
    if any(side.trace is not None for side in sides):
        return _of_traces(sides, registry, told)
    samples: list[list[Side]] = []
    if seeds:
        sides = [_seeded(side, seeds[0]) for side in sides]
    ends, states = _trained(sides, registry, told)
    for seed in seeds:
        same = seed == seeds[0]
        samples.append(ends if same else _trained([_seeded(side, seed) for side in sides], registry, told)[0])
    pairs = list(itertools.combinations(range(len(sides)), 2))
    open_pairs = [pair for pair in pairs if not _same_end(*(ends[each] for each in pair))]
    verdicts = {
        pair: Pair(ends[pair[0]].name, ends[pair[1]].name, "identical", said="The same bits, to the end.")
        for pair in pairs
        if pair not in open_pairs
    }
    notes: list[str] = []
    chosen = sorted({each for pair in (open_pairs if traces is None else pairs) for each in pair})
    lockstep = Lockstep([sides[each] for each in chosen], registry, told)
    if traces is not None:
        notes += lockstep.save(traces)
    if open_pairs:
        final = Ends(sides, ends, states, registry, told)
        places = {each: place for place, each in enumerate(chosen)}
        for a, b in open_pairs:
            found = lockstep.pair(places[a], places[b])
            if not _decides(found):
                found += final.pair(a, b)
            verdicts[a, b] = judged(ends[a], ends[b], found)
        notes += lockstep.notes
    return Comparison(
        tuple(ends),
        tuple(verdicts[pair] for pair in pairs),
        tuple(notes),
        tuple(
            distributions(
                [side.name for side in sides], [[end.evaluation for end in each] for each in samples]
            )
        ),
    )


def _of_traces(sides: Sequence[Named], registry: Registry, told: Told) -> Comparison:
    """Compare traces with each other, and experiments with them, whose steps start from the states there."""
    ordered = sorted(range(len(sides)), key=lambda number: sides[number].trace is None)
    lockstep = Lockstep([sides[number] for number in ordered], registry, told)
    places = {number: place for place, number in enumerate(ordered)}
    ends = [
        Side(side.name, side.experiment, "eager", jit=False, history={}, evaluation={}, seconds=0.0, steps=0)
        for side in sides
    ]
    verdicts = [
        judged(ends[a], ends[b], lockstep.pair(places[a], places[b]))
        for a, b in itertools.combinations(range(len(sides)), 2)
    ]
    return Comparison(tuple(ends), tuple(verdicts), (*lockstep.notes, _TRACES_ALONE))


def _trained(
    sides: Sequence[Named], registry: Registry, told: Told
) -> tuple[list[Side], list[FullState | None]]:
    ends: list[Side] = []
    states: list[FullState | None] = []
    for side in sides:
        if side.run is not None:
            ends.append(recorded_side(side, side.run))
            states.append(None)
            continue
        told(f"training {side.name}")
        end, state = train_side(side, registry)
        ends.append(end)
        states.append(state)
    return ends, states


def _seeded(side: Named, seed: int) -> Named:
    return replace(side, experiment=side.experiment.with_values(seed=seed), run=None)


def _same_end(a: Side, b: Side) -> bool:
    return (
        a.weights_digest == b.weights_digest
        # A finished run tells nothing of its optimizer's state.
        and (a.state_digest == b.state_digest or None in (a.state_digest, b.state_digest))
        and a.history == b.history
        and a.evaluation == b.evaluation
    )


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
        self._stages: tuple[list[Steps], Envelope] | None = None
        self._states: tuple[list[Steps], Envelope] | None = None
        self._without_draws: tuple[list[Steps], Envelope] | None = None

    def pair(self, a: int, b: int) -> list[Difference]:
        """The differences of two sides: of their stages where they step differently, or as executed."""
        found: list[Difference] = []
        if any(side.trace is not None for side in self._sides):
            return self._found(self._traced(), a, b)
        if not _alike(_eager(self._sides[a].experiment), _eager(self._sides[b].experiment)):
            found = self._found(self._traced(), a, b)
            if _decides(found):
                return found
        if all(side.experiment.execution == "eager" for side in (self._sides[a], self._sides[b])):
            return found
        single = [replace(side, experiment=_one_step_a_call(side.experiment)) for side in self._sides]
        if self._states is None:
            self._told("taking the first steps as they are executed")
            self._states = self._taken(single, observes=False)
        executed = self._found(self._states, a, b)
        if _decides(executed) and self._sides[a].experiment.jit != self._sides[b].experiment.jit:
            if self._without_draws is None:
                self._told("taking them without random numbers, of which XLA draws others")
                self._without_draws = self._taken(single, observes=False, draws=False)
            if not _decides(self._found(self._without_draws, a, b)):
                return [_by_random_numbers(executed, a_has_jit=bool(self._sides[a].experiment.jit))]
        return executed or found

    def save(self, folder: Path) -> list[str]:
        """Keep the traces of all sides; returns where they are."""
        taken, noise = self._traced()
        told = []
        for side, steps in zip(self._sides, taken, strict=True):
            path = folder / (re.sub(r"[^A-Za-z0-9.=-]+", "-", Path(side.name).name).strip("-") or "trace")
            save_trace(path, steps, noise)
            told.append(f"the trace of {side.name} is {path}")
        return told

    def _traced(self) -> tuple[list[Steps], Envelope]:
        if self._stages is None:
            self._told("tracing the first steps, stage by stage")
            eager = [
                side if side.trace is not None else replace(side, experiment=_eager(side.experiment))
                for side in self._sides
            ]
            self._stages = self._taken(eager, observes=True)
        return self._stages

    def _found(self, taken: tuple[list[Steps], Envelope], a: int, b: int) -> list[Difference]:
        steps, noise = taken
        return differences(steps[a].trace, steps[b].trace, noise)

    def _taken(
        self, sides: Sequence[Named], *, observes: bool, draws: bool = True
    ) -> tuple[list[Steps], Envelope]:
        if sides[0].trace is not None:
            leader, noise = load_trace(sides[0].trace)
        else:
            leader, noise = take_steps(sides[0], self._registry, observes=observes, draws=draws), None
        others = [
            load_trace(side.trace)[0]
            if side.trace is not None
            else take_steps(side, self._registry, observes=observes, states=leader.states, draws=draws)
            for side in sides[1:]
        ]
        taken = [leader, *others]
        for steps, side in zip(taken, sides, strict=True):
            if steps.slipped is not None:
                self.notes.append(f"{side.name} was not kept in lockstep: {steps.slipped}")
        if noise is None:
            noise = measure(leader.trace, self._repeated(sides[0], leader, observes=observes, draws=draws))
        return taken, noise

    def _repeated(self, side: Named, leader: Steps, *, observes: bool, draws: bool) -> list[Trace]:
        return [
            take_steps(
                side,
                self._registry,
                observes=observes,
                states=leader.states,
                disturbance=Disturbance(number) if number else None,
                draws=draws,
            ).trace
            for number in range(REPETITIONS)
        ]


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
        """The differences of two ends."""
        ours, theirs = self._states[a], self._states[b]
        if ours is None or theirs is None or not ours.fits(theirs):
            return []
        faster = min((a, b), key=lambda each: self._ends[each].seconds)
        if faster not in self._noise:
            side, end = self._sides[faster], self._states[faster]
            assert end is not None
            self._told(f"training {side.name} with noise, twice")
            disturbed = [train_side(side, self._registry, ModelDisturbance(seed))[1] for seed in (1, 2)]
            self._noise[faster] = measure(end_trace(end), [end_trace(state) for state in disturbed])
        return differences(end_trace(ours), end_trace(theirs), self._noise[faster])


def _decides(found: Sequence[Difference]) -> bool:
    return any(each.beyond and each.decides for each in found)


def _by_random_numbers(found: Sequence[Difference], *, a_has_jit: bool) -> Difference:
    """The first difference, where it is that of random numbers, as steps without any showed."""
    first = next(each for each in found if each.beyond and each.decides)
    a, b = ("XLA's", "TensorFlow's") if a_has_jit else ("TensorFlow's", "XLA's")
    return replace(first, stage="forward", quantity=RANDOM_NUMBERS, a=a, b=b, ratio=None)


def _alike(a: Any, b: Any) -> bool:
    """Whether two experiments, or parts of them, are the same; objects are by identity, as arrays may be."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, BaseModel):
        return all(_alike(getattr(a, name), getattr(b, name)) for name in type(a).model_fields)
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(_alike(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_alike, a, b))
    return isinstance(a, str | int | float | Path) and bool(a == b)


def _eager(experiment: Experiment) -> Experiment:
    return experiment.with_values(execution="eager", jit=None, steps_per_call=None, devices=None)


def _one_step_a_call(experiment: Experiment) -> Experiment:
    if experiment.execution != "fused":
        return experiment
    return experiment.with_values(steps_per_call=1)
