"""Checks a step in one scenario after the other, and explains where it does not do what `fit` does."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kerasx.component import Component
from kerasx.errors import UsageError, suggestion
from kerasx.experiment import Experiment
from kerasx.parity.check.ground import Ground, NotApplicableError
from kerasx.parity.check.idioms import Idiom, each_once
from kerasx.parity.check.own import own_ground
from kerasx.parity.check.result import Check, Checked
from kerasx.parity.check.scenarios import (
    SCENARIOS,
    Scenario,
    name_of,
    one_hot_labels,
    plain,
    several_outputs,
    wakes,
)
from kerasx.parity.check.subject import Subject, subject_of
from kerasx.parity.check.tasks import OTHER, TASKS, tasks_for
from kerasx.parity.explain.catalogue import CAUSES
from kerasx.parity.explain.held import held_against_keras, trains_like_keras
from kerasx.parity.explain.outcome import Deviations
from kerasx.parity.naming import side_of
from kerasx.parity.records import STAGES
from kerasx.parity.sides import Named
from kerasx.references import exits_are_errors
from kerasx.registry import Registry

Told = Callable[[str], None]

# For the first steps of one scenario, and for the causes of one.
_LIMIT, _SEARCH = 60.0, 20.0


def check(
    target: Any,
    experiment: Experiment,
    registry: Registry,
    *,
    expect: Sequence[str] = (),
    scenarios: Sequence[str] = (),
    told: Told = lambda text: None,
) -> Check:
    """Hold a step against `fit` in every scenario that applies.

    Args:
        target: The name of a strategy, a reference, or an object: a step, a loop, a strategy, or a model, its
            class or builder.
        experiment: What is set in it goes before what scenarios have: a loss, or for a model with an
            architecture of its own its data too.
        registry: The engine's plugins.
        expect: Ids of causes, or stages, in which it is meant to differ, beside those that it declares.
        scenarios: Names of those to try; none for all.
        told: Told what is being done.

    Raises:
        UsageError: The target is nothing that can be checked, a name is unknown, or its code raises on the
            plainest scenario.
        PluginError: A plugin that was asked for fails.
    """
    subject = subject_of(target, registry)
    if subject.own is None and "model" in experiment.model_fields_set:
        subject = replace(subject, own=experiment.model)
    expected = _expected((*expect, *subject.expects), subject)
    with warnings.catch_warnings():
        # Of deprecated names and of gradients that there are none of: the findings tell of them, once.
        warnings.simplefilter("ignore")
        return _checked(subject, experiment, registry, expected, _named(scenarios), told)


def _checked(
    subject: Subject,
    experiment: Experiment,
    registry: Registry,
    expected: Sequence[str],
    scenarios: Sequence[Scenario],
    told: Told,
) -> Check:
    told(f"looking what {subject.name} takes")
    leaving = [each for each in expected if each in STAGES]
    ground, computes_own = _ground(subject, experiment, registry)
    idioms = each_once((*subject.idioms, *ground.idioms))
    known: list[Deviations] = []
    results = []
    for scenario in scenarios:
        told(f"{name_of(scenario)}: {wakes(scenario)}")
        try:
            if computes_own and scenario in (several_outputs, one_hot_labels):
                raise NotApplicableError("it computes one loss by itself")
            side = _side(subject, experiment, registry, scenario(ground))
            with exits_are_errors(f"tracing {subject.name}"):
                held = held_against_keras(
                    side, registry, known=known, leaving=leaving, limit=_LIMIT, search_seconds=_SEARCH
                )
        except NotApplicableError as error:
            results.append(Checked(name_of(scenario), wakes(scenario), "not applicable", said=str(error)))
            continue
        except UsageError as error:
            if scenario is scenarios[0]:
                raise _with_idioms(_of_no_loss(error, subject), idioms) from error
            results.append(Checked(name_of(scenario), wakes(scenario), "failed", said=_raised(error)))
            continue
        explanation = held.explanation
        causes = (*explanation.causes, *(("unknown",) if explanation.unexplained else ()))
        verdict = explanation.verdict
        if held.deviations and held.deviations not in known:
            known.append(held.deviations)
        if causes and set(causes) <= set(expected):
            verdict = "expected"
        results.append(Checked(name_of(scenario), wakes(scenario), verdict, causes, "", explanation))
    notes = []
    if expected:
        notes.append(f"It is meant to differ in {', '.join(expected)}, and is held to the rest.")
    if computes_own:
        notes.append("It computes its loss by itself, and is checked with that one alone.")
    return Check(
        subject.name,
        subject.kind,
        ground.task.described,
        tuple(results),
        idioms,
        tuple(notes),
    )


def _named(names: Sequence[str]) -> list[Scenario]:
    known = {name_of(each): each for each in SCENARIOS}
    for name in names:
        if name not in known:
            raise UsageError(f"There is no scenario `{name}`. {suggestion(name, known, what='scenarios')}")
    return [each for name, each in known.items() if not names or name in names]


def _with_idioms(error: UsageError, idioms: Sequence[Idiom]) -> UsageError:
    """What a step raised, with what to write in place of what Keras has no longer."""
    if not idioms:
        return error
    gone = [each for each in idioms if f"'{each.name}'" in str(error)]
    # A property hides metrics, and does not raise.
    others = [each for each in idioms if each not in gone and each.name != "metrics"]
    text = " ".join([f"{str(error).removesuffix('.')}.", *(each.sentence for each in gone)])
    return UsageError(text, details=error.details, lines=[*error.lines, *(each.sentence for each in others)])


def _of_no_loss(error: UsageError, subject: Subject) -> UsageError:
    """What Keras says of a model that has no loss, in other words; any other error as it is."""
    if "No loss to compute" not in str(error):
        return error
    return UsageError(
        f"`{subject.name}` has no loss that Keras knows: it is compiled with none, and its layers add none."
        " There is nothing that `fit` would do to compare its step with. Name the loss that it is for, as in"
        " `--loss mean_squared_error`.",
        details=error.details,
        lines=error.lines,
    )


def _raised(error: UsageError) -> str:
    """What a step raised, in one line that is not too long, with its place."""
    text = str(error).partition(" failed: ")[2] or str(error)
    place = re.search(r" \([^()]+, line \d+\)$", text)
    where = "" if place is None else place[0]
    what = text.removesuffix(where)
    return f"it raises {what if len(what) < 120 else what[:117] + '...'}{where}"


def _expected(named: Collection[str], subject: Subject) -> tuple[str, ...]:
    known = (*CAUSES, *STAGES, "unknown")
    for each in named:
        if each not in known:
            raise UsageError(
                f"`{subject.name}` cannot be expected to differ in `{each}`, which is no cause and no stage."
                f" {suggestion(each, known, what='causes and stages')}"
            )
    return tuple(dict.fromkeys(named))


def _side(subject: Subject, experiment: Experiment, registry: Registry, fields: dict[str, Any]) -> Named:
    base = Experiment(**fields, seed=experiment.seed, strategy=subject.strategy, execution="eager", jit=False)
    if not isinstance(subject.strategy, str):
        return side_of(subject.strategy, base, registry, Path())
    return Named(subject.name, base)


def _ground(subject: Subject, experiment: Experiment, registry: Registry) -> tuple[Ground, bool]:
    """What the scenarios are made on, and whether the step computes a loss of its own."""
    if subject.own is not None:
        return own_ground(subject, experiment, registry), False
    if experiment.loss is not None:
        if not isinstance(experiment.loss, Component):
            raise UsageError("A check takes one loss: name one.")
        tasks = tasks_for(experiment.loss)
    else:
        tasks = TASKS
    grounds = [Ground(task, subject.make) for task in tasks]
    if len(tasks) == 1:
        return grounds[0], False
    for number, ground in enumerate(grounds):
        try:
            if not _trains_like_keras(subject, experiment, registry, ground):
                continue
        except UsageError:
            continue  # labels or outputs that it is not for
        if number:
            return ground, True
        # Whether that is its own loss too shows with another one.
        try:
            other = Ground(OTHER, subject.make)
            return ground, not _trains_like_keras(subject, experiment, registry, other)
        except UsageError:
            return ground, True
    return grounds[0], False


def _trains_like_keras(subject: Subject, experiment: Experiment, registry: Registry, ground: Ground) -> bool:
    side = _side(subject, experiment, registry, plain(ground))
    with exits_are_errors(f"tracing {subject.name}"):
        return trains_like_keras(side, registry, limit=_LIMIT)
