"""What may be otherwise in gradients and in how they are applied."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from kerasx.parity.explain.numbers import as_written
from kerasx.parity.explain.of_data import other_variables, unmoved_variables
from kerasx.parity.explain.of_gradient import CLOSE, clips, detached, missing
from kerasx.parity.explain.outcome import Deviations, Outcome
from kerasx.parity.explain.search import Search
from kerasx.parity.explain.target import applies, named, number, settings, training
from kerasx.parity.reference.deviation import Deviation
from kerasx.parity.reference.of_gradient import (
    OptimizerClip,
    ScaleRemovedTwice,
    UnscaledLoss,
)
from kerasx.parity.reference.of_update import (
    Accumulation,
    Bypassed,
    LearningRates,
    MicroBatches,
    NotFinalized,
    OptimizerSettings,
    SeveralApplies,
)
from kerasx.parity.state import COUNT_OF_BATCHES, ITERATION

_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")
# What an optimizer is called, and what follows from something else.
_NO_SETTINGS = ("name", "loss_scale_factor")


def gradient(search: Search, here: Outcome) -> Iterator[Sequence[Deviations]]:
    """Gradients that were not scaled, are missing, or were clipped."""
    before = here.deviations
    ours, theirs = here.step, search.target.records[here.progress[0]]
    yield [(*before, each) for each in other_variables(search, ours, theirs)]
    yield [(*before, UnscaledLoss()), (*before, ScaleRemovedTwice())]
    yield [(*before, each) for each in (*missing(ours, theirs), *detached(here))]
    yield [(*before, each) for each in clips(search)]
    yield [(*before, each) for each in (*_settings(search, here), *_accumulations(search))]
    yield [(*before, UnscaledLoss(), each) for each in clips(search)]


def update(search: Search, here: Outcome) -> Iterator[Sequence[Deviations]]:
    """Other settings, other rates, updates without the optimizer, or several calls of it."""
    before = here.deviations
    ours, theirs = here.step, search.target.records[here.progress[0]]
    if here.first is not None and here.first.kind == "epoch":
        yield [(*before, NotFinalized())]
    yield [(*before, each) for each in other_variables(search, ours, theirs)]
    yield [(*before, each) for each in unmoved_variables(search, ours, theirs)]
    yield [(*before, each) for each in _settings(search, here)]
    yield [(*before, each) for each in _several(search)]
    yield [(*before, each) for each in (*_accumulations(search), *missing(ours, theirs))]
    if not any(applies(step) for _, step in training(search.target)):
        yield [(*before, each) for each in _bypasses(search, here)]
    yield [(*before, each) for each in _rates(search, here)]
    yield [
        (*before, a, b)
        for a, b in itertools.product(_several(search), (*_settings(search, here), *_rates(search, here)))
    ]


def _settings(search: Search, here: Outcome) -> list[Deviation]:
    """Settings in which the optimizer that stepped differs: each alone first, then all."""
    own = next((each for step in here.trace.steps if (each := settings(step))), None)
    other = next((each for _, step in training(search.target) if (each := settings(step))), None)
    if own is None or other is None:
        return []
    if own[0] != other[0]:
        values = {name: value for name, value in other[1].items() if name not in _NO_SETTINGS}
        return [OptimizerSettings(optimizer=other[0], settings=json.dumps(values, sort_keys=True))]
    differing = {
        name: value
        for name, value in other[1].items()
        if name not in _NO_SETTINGS and json.dumps(value) != json.dumps(own[1].get(name))
    }
    if not differing:
        return []
    clips: dict[str, Any] = {name: other[1].get(name) for name in _CLIPS}
    found: list[Deviation] = []
    if any(name in differing for name in _CLIPS):
        found.append(OptimizerClip(**clips))
    if "gradient_accumulation_steps" in differing:
        steps = differing["gradient_accumulation_steps"]
        if steps:
            found.append(Accumulation(steps=steps, mean=True))
    plain = {
        name: value
        for name, value in differing.items()
        if name not in (*_CLIPS, "gradient_accumulation_steps")
    }
    found += [
        OptimizerSettings(settings=json.dumps({name: value}, sort_keys=True)) for name, value in plain.items()
    ]
    if len(plain) > 1:
        found.append(OptimizerSettings(settings=json.dumps(plain, sort_keys=True)))
    return found


def _several(search: Search) -> list[Deviation]:
    calls = next((found for _, step in training(search.target) if len(found := applies(step)) > 1), None)
    if calls is None:
        return []
    names = {name for call in calls for name in call}
    if all(set(call) == names for call in calls):
        alike: list[Deviation] = [SeveralApplies(calls=len(calls), halves=halves) for halves in (False, True)]
        return [*alike, SeveralApplies(calls=len(calls), parts=True), MicroBatches(calls=len(calls))]
    return [SeveralApplies(groups=tuple(calls), calls=len(calls))]


def _accumulations(search: Search) -> list[Deviation]:
    """Of how many steps gradients are applied at once, by the steps in which they are."""
    steps = [bool(applies(step)) for _, step in training(search.target)]
    if all(steps) or not any(steps):
        return []
    first = steps.index(True) + 1
    return [Accumulation(steps=first, mean=mean) for mean in (True, False)]


def _bypasses(search: Search, here: Outcome) -> list[Deviation]:
    rules: tuple[Literal["optimizer", "bare"], ...] = ("optimizer", "bare")
    found: list[Deviation] = [
        Bypassed(rule=rule, slots=slots, counts=counts)
        for (slots, counts), rule in itertools.product(((False, False), (True, False), (True, True)), rules)
    ]
    rates = []
    for _, step in training(search.target):
        changes, taken = named(step, "change of "), named(step, "tape gradient of ")
        rate = _ratio([(changes[name], taken[name]) for name in taken if name in changes])
        if rate is None:
            return found
        rates.append(as_written(-rate, CLOSE))
    if rates:
        same = len({round(each, 12) for each in rates}) == 1
        found.insert(0, Bypassed(rule="gradient", rates=(rates[0],) if same else tuple(rates)))
    return found


def _ratio(pairs: Sequence[tuple[Any, Any]]) -> float | None:
    """What changes are of gradients, as least squares have it."""
    above = sum(
        float(np.sum(a.astype(np.float64) * b.astype(np.float64))) for a, b in pairs if a.shape == b.shape
    )
    below = sum(float(np.sum(np.square(b.astype(np.float64)))) for a, b in pairs if a.shape == b.shape)
    return above / below if below > 0 else None


def _rates(search: Search, here: Outcome) -> list[Deviation]:
    """Learning rates, as they were set or as changes of weights show them."""
    steps = [step for _, step in training(search.target)]
    found: list[Deviation] = []
    shown = [number(step, "learning_rate") for step in steps]
    if all(each is not None for each in shown):
        values = [as_written(float(each), CLOSE) for each in shown if each is not None]
        found.append(LearningRates(rates=(values[0],) if len(set(values)) == 1 else tuple(values)))
    # Changes are as much larger as the rate is, whatever the rule.
    whole = search.outcome(here.deviations, whole=True)
    base = number(whole.trace.steps[0], "learning_rate") if whole.trace.steps else None
    settings_of = next((each for step in whole.trace.steps if (each := settings(step))), None)
    estimated = []
    for place, step in training(search.target):
        if place >= len(whole.trace.steps):
            return found
        own, theirs = named(whole.trace.steps[place], "change of "), named(step, "change of ")
        trained = [name for name in own if f"gradient of {name}" in whole.trace.steps[place].records]
        ratio = _ratio([(theirs[name], own[name]) for name in trained if name in theirs])
        if ratio is None:
            return found
        rate = base if base is not None else None
        if rate is None and settings_of is not None:
            counts = (f"slot {ITERATION}", COUNT_OF_BATCHES)
            count = next((value for name in counts if (value := number(step, name)) is not None), None)
            rate = _scheduled(settings_of[1], count)
        if rate is None:
            return found
        estimated.append(as_written(ratio * rate, CLOSE))
    if estimated:
        same = max(estimated) - min(estimated) <= 1e-4 * abs(max(estimated))
        found.append(LearningRates(rates=(estimated[0],) if same else tuple(estimated)))
    return found


def _scheduled(config: dict[str, Any], iteration: float | None) -> float | None:
    """The rate of a Keras schedule in the step that has just been taken."""
    import keras

    try:
        schedule = keras.optimizers.schedules.deserialize(config["learning_rate"])
        return float(schedule(max((iteration or 1.0) - 1.0, 0.0)))
    except Exception:  # a schedule of the user's, which this process may not know
        return None
