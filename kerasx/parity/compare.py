"""Compares trainings: to the end, then step by step where their ends differ, against measured noise."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kerasx.errors import UsageError
from kerasx.parity.again import of_other_data, trained_otherwise, unrepeatable
from kerasx.parity.distributions import distributions
from kerasx.parity.ends import Ends
from kerasx.parity.judge import Difference, decides
from kerasx.parity.lockstep import Lockstep, Told
from kerasx.parity.result import Comparison, Pair, Side
from kerasx.parity.sides import Named, executable, measured_alike, notes_of
from kerasx.parity.state import FullState
from kerasx.parity.storage import check_new, trace_folders
from kerasx.parity.training import recorded_side, train_side
from kerasx.parity.verdict import judged
from kerasx.registry import Registry
from kerasx.training.distribution import claim_devices

_TRACES_ALONE = "a trace holds first steps alone: nothing was trained to the end"


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
    claim_devices([side.experiment.devices for side in sides])
    if traces is not None:
        for folder in trace_folders(sides).values():
            check_new(traces / folder)
    for side in sides:
        if side.trace is not None and (seeds or traces is not None):
            asked = "be trained from other seeds" if seeds else "be traced"
            raise UsageError(f"`{side.name}` is a trace, of steps that were taken: it cannot {asked}.")
    if any(side.trace is not None for side in sides):
        return _of_traces(sides, registry, told)
    samples: list[list[Side]] = []
    sides = measured_alike(executable(sides, registry), registry)
    if seeds:
        sides = [_seeded(side, seeds[0]) for side in sides]
    ends, states = _trained(sides, registry, told)
    sides = [_as_trained(side, end) for side, end in zip(sides, ends, strict=True)]
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
    notes = [*notes_of(sides), *trained_otherwise(sides, ends)]
    notes += [f"{end.name} became non-finite" for end in ends if not _is_finite(end)]
    looked_at = sorted({each for pair in (open_pairs if traces is None else pairs) for each in pair})
    stale = unrepeatable(sides, looked_at, registry)
    notes += [
        f"{reason}: its steps cannot be taken again, and its record alone is compared"
        for reason in stale.values()
    ]
    stepped = [pair for pair in open_pairs if not stale.keys() & set(pair)]
    chosen = [each for each in looked_at if each not in stale]
    lockstep = Lockstep([sides[each] for each in chosen], registry, told)
    if traces is not None and chosen:
        notes += lockstep.save(traces)
    if open_pairs:
        final = Ends(sides, ends, states, stale, registry, told)
        places = {each: place for place, each in enumerate(chosen)}
        for a, b in open_pairs:
            steps = lockstep.pair(places[a], places[b]) if (a, b) in stepped else None
            found = steps if steps is not None else of_other_data(ends[a], ends[b])
            weighed = True
            if not decides(found):
                found, weighed = [*found, *final.pair(a, b)], final.has_states(a, b)
            verdicts[a, b] = judged(ends[a], ends[b], found, stepped=steps is not None, weighed=weighed)
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


def trace(side: Named, registry: Registry, path: Path, told: Told = lambda text: None) -> None:
    """Save the trace of the first steps of one side, with the noise that was measured beside it.

    Args:
        side: What to trace.
        registry: The engine's plugins.
        path: The folder to make; it must not exist.
        told: Told what is being done.

    Raises:
        UsageError: The side cannot be executed eagerly, or is none that can be trained; or the folder exists.
        PluginError: A plugin that was asked for fails.
    """
    if side.trace is not None:
        raise UsageError(f"`{side.name}` is a trace already.")
    check_new(path)
    if side.run is not None and side.changed:
        told(f"{', '.join(side.changed)} has changed since {side.run.name}: what it says now is traced")
    lockstep = Lockstep([side], registry, told)
    if not lockstep.is_traceable:
        raise UsageError(f"{side.name} cannot be traced: it has no eager execution.")
    lockstep.save_one(path)


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
        _of_steps_alone(ends[a], ends[b], lockstep.pair(places[a], places[b]))
        for a, b in itertools.combinations(range(len(sides)), 2)
    ]
    apart = [
        f"{ends[a].name} and {ends[b].name} are of experiments with other values of {', '.join(fields)}"
        for a, b in itertools.combinations(range(len(sides)), 2)
        if (fields := lockstep.experiments_apart(places[a], places[b]))
    ]
    notes = (*notes_of(sides), *lockstep.notes, *apart, _TRACES_ALONE)
    return Comparison(tuple(ends), tuple(verdicts), notes)


def _of_steps_alone(a: Side, b: Side, found: list[Difference] | None) -> Pair:
    if found is None:
        raise UsageError(
            f"{a.name} and {b.name} cannot be compared: one is a trace, and the training steps of the other"
            " cannot be told apart."
        )
    return judged(a, b, found)


def _trained(
    sides: Sequence[Named], registry: Registry, told: Told
) -> tuple[list[Side], list[FullState | None]]:
    ends: list[Side] = []
    states: list[FullState | None] = []
    for side in sides:
        if side.run is not None and side.recorded:
            ends.append(recorded_side(side, side.run))
            states.append(None)
            continue
        told(f"training {side.name}")
        end, state = train_side(side, registry)
        ends.append(end)
        states.append(state)
    return ends, states


def _is_finite(end: Side) -> bool:
    losses = [value for value in end.history.get("loss", []) if isinstance(value, float)]
    return all(map(math.isfinite, losses))


def _as_trained(side: Named, end: Side) -> Named:
    """With the execution that was chosen for it, or stood in."""
    execution = {"execution": end.execution, "jit": end.jit}
    return replace(side, experiment=side.experiment.with_values(**execution))


def _seeded(side: Named, seed: int) -> Named:
    return replace(side, experiment=side.experiment.with_values(seed=seed), recorded=False)


def _same_end(a: Side, b: Side) -> bool:
    return (
        a.weights_digest == b.weights_digest
        # A finished run tells nothing of its optimizer's state.
        and (a.state_digest == b.state_digest or None in (a.state_digest, b.state_digest))
        # As they are written, in which what is no number equals itself.
        and repr(sorted(a.history.items())) == repr(sorted(b.history.items()))
        and repr(sorted(a.evaluation.items())) == repr(sorted(b.evaluation.items()))
    )
