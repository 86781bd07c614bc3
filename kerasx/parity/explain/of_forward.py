"""What may be otherwise in the forward pass, and in the state that it leaves."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import keras
import numpy as np

from kerasx.parity.explain.of_data import scope_of
from kerasx.parity.explain.outcome import Deviations, Outcome
from kerasx.parity.explain.search import Search
from kerasx.parity.explain.target import array, named, order, text, training
from kerasx.parity.records import StepTrace
from kerasx.parity.reference.deviation import Deviation, Scope
from kerasx.parity.reference.of_forward import (
    ExtraForward,
    OtherMasks,
    OtherSeeds,
    Place,
    StateKept,
    TrainingFlag,
)
from kerasx.parity.state import named_variables, names_seed


def forward(search: Search, here: Outcome) -> Iterator[Sequence[Deviations]]:
    """Another training flag, further forward passes, or other random streams."""
    before, scope = here.deviations, scope_of(here)
    theirs = search.target.records[here.progress[0]]
    begun = tuple(
        each.quantity.removeprefix("initial seed ")
        for each in here.here
        if each.quantity.startswith("initial seed ")
    )
    if begun:
        yield [(*before, OtherSeeds(initial=begun))]
        yield [
            (*before, each.model_copy(update={"initial": begun}))
            for each in _seeds(here, search)
            if isinstance(each, OtherSeeds)
        ]
    since = 0 if here.first is None else here.first.epoch
    flags = [TrainingFlag(scope=scope, training=flag, since=since) for flag in (False, True)]
    yield [(*before, each) for each in flags]
    if resting := _resting(search, here.step, theirs):
        yield [(*before, TrainingFlag(scope=scope, training=False, layers=resting))]
    yield [(*before, each) for each in extra_passes(search, theirs, scope)]
    seeds = _seeds(here, search)
    yield [(*before, each) for each in seeds]
    if any(each.stage == "forward" and each.decides for each in here.here):
        others = (*extra_passes(search, theirs, scope), *seeds)
        yield [(*before, a, b) for a, b in itertools.product(flags, others)]
    if not seeds and (masks := _masks(search, scope)):
        yield [(*before, each) for each in masks]


def unseen_forward(search: Search, here: Outcome) -> Iterator[Sequence[Deviations]]:
    """Another training flag of a model that is not called as a whole, so that its flag is not seen."""
    before, scope = here.deviations, scope_of(here)
    theirs = search.target.records[here.progress[0]]
    if text(theirs, "training flag") is not None:
        return
    yield [(*before, TrainingFlag(scope=scope, training=scope == "evaluation"))]
    if resting := _resting(search, here.step, theirs):
        yield [(*before, TrainingFlag(scope=scope, training=False, layers=resting))]


def _resting(search: Search, ours: StepTrace, theirs: StepTrace) -> tuple[str, ...]:
    """Layers whose state stands still in the side, and not in the reference."""
    still = set()
    for name, change in named(theirs, "change of ").items():
        own = array(ours, f"change of {name}")
        if own is not None and np.any(own) and not np.any(change):
            still.add(name)
    found = []
    for layer in search.bench.model.layers:
        variables = {id(each) for each in layer.non_trainable_variables}
        names = {name for name, each in named_variables(search.bench.model) if id(each) in variables}
        if names & still:
            found.append(layer.name)
    return tuple(found)


def extra_passes(search: Search, theirs: StepTrace, scope: Scope) -> list[Deviation]:
    """Forward passes beyond the one of the loss, where they were seen."""
    calls = order(theirs)
    places: list[tuple[Place, bool]] = []
    for number, call in enumerate(calls):
        if call.startswith("forward"):
            before, after = calls[:number], calls[number + 1 :]
            place: Place = "after" if "apply" in before else "between" if "gradient" in before else "before"
            places.append((place, call == "forward True"))
            if place == "before" and any(each.startswith("forward") for each in (*before, *after)):
                # Either may be that of the loss.
                places.append(("between", call == "forward True"))
    if sum(call.startswith("forward") for call in calls) < 2:
        return []
    moves = any(
        names_seed(name) or not variable.trainable for name, variable in named_variables(search.bench.model)
    )
    counts = sorted({1, sum(call.startswith("forward") for call in calls) - 1})
    return [
        ExtraForward(
            scope=scope, place=place, training=flag, used=used, times=times, keeps_state=not (flag and moves)
        )
        for (place, flag), used, times in itertools.product(dict.fromkeys(places), (False, True), counts)
    ]


def _seeds(here: Outcome, search: Search) -> list[Deviation]:
    """Where random streams have to stand for the states that the side leaves."""
    place = here.progress[0]
    scope = scope_of(here)
    ours, theirs = (named(step, "seed ") for step in (here.step, search.target.records[place]))
    state = search.target.state(place)
    if state is None:
        return []
    starts = dict(zip(state.names, state.values, strict=True))
    shifts, fixed = [], []
    for name, after in theirs.items():
        if name not in ours or name not in starts or after.tobytes() == ours[name].tobytes():
            continue
        advanced = ours[name].astype(np.int64) - starts[name].astype(np.int64)
        start = after.astype(np.int64) - advanced
        if start[0] == starts[name][0]:
            shifts.append((name, int(start[1] - starts[name][1])))
        fixed.append((name, tuple(int(each) for each in start)))
    found: list[Deviation] = []
    found += _seeds_of_each_step(search, here, [name for name, _ in fixed])
    if fixed:
        found.append(OtherSeeds(scope=scope, fixed=tuple(fixed)))
    if shifts and len(shifts) == len(fixed):
        found.append(OtherSeeds(scope=scope, shifts=tuple(shifts)))
    return found


def _seeds_of_each_step(search: Search, here: Outcome, names: Sequence[str]) -> list[Deviation]:
    """The same, where the side sets streams anew in each step, or in some."""
    ours = named(here.step, "seed ")
    start = search.target.state(here.progress[0])
    if start is None or not names:
        return []
    begun = dict(zip(start.names, start.values, strict=True))
    found = []
    for name in names:
        advanced = ours[name].astype(np.int64) - begun[name].astype(np.int64)
        places = []
        for place, step in training(search.target):
            after = named(step, "seed ").get(name)
            if after is not None:
                places.append((place, tuple(int(each) for each in after.astype(np.int64) - advanced)))
        found.append((name, tuple(places)))
    return [OtherSeeds(scope=scope_of(here), each=tuple(found))]


def _masks(search: Search, scope: Scope) -> list[Deviation]:
    """Layers whose masks may be others though their streams are the same: all, or one of them."""
    names = [layer.name for layer in search.bench.model.layers if type(layer) is keras.layers.Dropout]
    groups = [tuple(names)] if names else []
    groups += [(name,) for name in names] if len(names) > 1 else []
    return [OtherMasks(scope=scope, layers=group) for group in groups]


# --- State ------------------------------------------------------------------------------------------------


def state(search: Search, here: Outcome) -> Iterator[Sequence[Deviations]]:
    """State that is not moved, or moved more than once."""
    before, scope = here.deviations, scope_of(here)
    theirs = search.target.records[here.progress[0]]
    still = tuple(
        each.quantity.removeprefix("change of ")
        for each in here.here
        if each.stage == "state"
        and each.quantity.startswith("change of ")
        and (value := array(theirs, each.quantity)) is not None
        and not np.any(value)
    )
    if still:
        yield [(*before, StateKept(scope=scope, variables=still))]
    yield [(*before, each) for each in extra_passes(search, theirs, scope)]
    yield [(*before, TrainingFlag(scope=scope, training=flag)) for flag in (False, True)]
    # A part of the model may be called too, which is not seen as a forward pass of it.
    places: tuple[Place, ...] = ("before", "after")
    yield [(*before, ExtraForward(scope=scope, place=place, training=True)) for place in places]
