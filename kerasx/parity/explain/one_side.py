"""One side and the reference: whether it does the same, which causes make it, and how that is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from kerasx.errors import UsageError
from kerasx.parity.explain.finding import BEWARE, Explanation
from kerasx.parity.explain.outcome import Deviations, Outcome
from kerasx.parity.explain.proof import apart, findings_of, told_left
from kerasx.parity.explain.propose import propose
from kerasx.parity.explain.search import SEARCH_SECONDS, Search
from kerasx.parity.explain.target import Target, apart_from, applies, named, training
from kerasx.parity.first_steps import take_steps
from kerasx.parity.judge import decides, differences
from kerasx.parity.noise import Disturbance, measure
from kerasx.parity.records import OWN_METRICS
from kerasx.parity.reference.bench import KERAS, Bench
from kerasx.parity.sides import Named
from kerasx.parity.verdict import affected, where_they_part
from kerasx.registry import Registry

Told = Callable[[str], None]
SAME = "No difference beyond rounding in the first steps of two epochs."


@dataclass(frozen=True)
class Explained:
    """What was found for one side on the experiment of the other; None where the bits are the same."""

    search: Search
    found: list[Outcome] | None


def is_plain(bench: Bench, target: Target) -> bool:
    """Whether a side does what Keras does on the bench's experiment."""
    search = Search(bench, apart_from(target, (), bench.reported), propose)
    return _is_same(search) or search.outcome(()).matches


def _is_same(search: Search) -> bool:
    """Whether a side comes to the very bits of the reference, for which no noise has to be measured."""
    return not differences(search.plain[0], search.target.steps.trace)


def searched(
    bench: Bench,
    target: Target,
    told: Told,
    given: Deviations | None,
    *,
    known: Sequence[Deviations] = (),
    seconds: float = SEARCH_SECONDS,
) -> Explained:
    """Look for what a side does otherwise than Keras on the bench's experiment, or try what is given.

    Args:
        bench: The reference.
        target: The side.
        told: Told what is being done.
        given: Tried alone; None to look.
        known: What has explained other sides, to be tried first.
        seconds: Of the processor, how long to look.
    """
    target = apart_from(target, (), bench.reported)
    search = Search(bench, target, propose, seconds)
    if _is_same(search):
        return Explained(search, None)
    if search.outcome(()).matches:
        return Explained(search, [search.outcome(())])
    if given is not None:
        told("putting the causes into the reference again")
        again = search.matching(given)
        return Explained(search, [] if again is None else [again])
    told(f"looking for what {target.name} does otherwise")
    before = next(filter(None, map(search.matching, known)), None)
    sets = search.smallest() if before is None else [before]
    return Explained(search, [_minimal(search, each) for each in sets])


def _minimal(search: Search, outcome: Outcome) -> Outcome:
    """Without what is not needed, as one deviation may make another superfluous."""
    here = outcome
    for each in outcome.deviations:
        fewer = tuple(other for other in here.deviations if other != each)
        if (without := search.matching(fewer)) is not None:
            here = without
    return here


def told_of(
    keras_side: str, side: str, explained: Explained, reference: str, notes: Sequence[str]
) -> Explanation:
    """The explanation of one side that is held against the reference."""
    search, found = explained.search, explained.found
    if found is None:
        return Explanation(keras_side, side, "identical", None, reference=reference, notes=(*notes, SAME))
    if (unsteady := search.target.unsteady) is not None:
        notes = [*notes, f"{side} does not repeat itself: {unsteady} differs from one state"]
    whole = search.outcome((), whole=True)
    every = differences(whole.trace, search.target.steps.trace, search.target.noise)
    if not decides(every):
        verdict = "identical" if not every else "equivalent"
        return Explanation(keras_side, side, verdict, None, reference=reference, notes=(*notes, SAME))
    deciding = [each for each in every if each.beyond and each.decides]
    affects = affected(deciding)
    parts, _ = where_they_part([each for each in every if each.beyond])
    if _does_nothing(search.target):
        notes = [*notes, f"{side} does nothing with the batches: no gradient and no update was seen"]
    if search.is_out_of_time:
        notes = [*notes, f"the search was ended after {search.tried} runs of the reference"]
    if not found:
        return Explanation(
            keras_side, side, "diverged", affects, (), (), True, parts, reference, "", tuple(notes)
        )
    sets = _distinct(found)
    named = [findings_of(search, each, side, affects) for each in sets]
    return Explanation(
        keras_side,
        side,
        "diverged",
        affects,
        named[0],
        tuple(named[1:]),
        False,
        parts,
        reference,
        apart(named) if len(named) > 1 else "",
        tuple(notes),
    )


def _does_nothing(target: Target) -> bool:
    """Whether a side takes steps in which it trains nothing."""
    steps = [step for _, step in training(target)]
    return bool(steps) and not any(
        applies(step) or named(step, "tape gradient of ") or np.any(change)
        for step in steps
        for change in [*named(step, "change of ").values(), 0.0]
    )


def _distinct(found: Sequence[Outcome]) -> list[Outcome]:
    """One outcome for each set of causes, the smallest ones."""
    by_causes: dict[tuple[str, ...], Outcome] = {}
    for each in found:
        by_causes.setdefault(tuple(sorted({one.cause for one in each.deviations})), each)
    for causes in list(by_causes):
        # Whoever returns other names than the trackers' has no epoch's values of any.
        instead = tuple(sorted({*causes} - {"metric-missing"} | {"loss-report-last-batch"}))
        if "metric-missing" in causes and instead in by_causes:
            del by_causes[causes]
    least = min(len(causes) for causes in by_causes)
    return [each for causes, each in by_causes.items() if len(causes) == least]


def checked(bench: Bench, side: Named, registry: Registry, whole: int) -> str:
    """Whether the reference does what Keras's own steps do on the installed version, in words."""
    named = Named("Keras", bench.experiment.with_values(strategy=KERAS), run=side.run)
    try:
        steps = take_steps(named, registry, observes=True, whole=whole)
    except UsageError as error:
        return f"The reference was not held against `fit`, which cannot train this experiment: {error}"
    trace, _ = bench.trace(states=steps.states, like=steps)
    if steps.trace.about[OWN_METRICS]:
        # Keras reports what the model's own property `metrics` has, which its own step does not update.
        steps = apart_from(Target("Keras", steps, lambda disturbance: steps.trace), ("report",)).steps
    version = f"Keras {keras.__version__}"
    if not differences(trace, steps.trace):
        return f"The reference equals `fit` on {version}, bit by bit."
    disturbed = [
        [Disturbance(seed)(state, number) for number, state in enumerate(steps.states)] for seed in (1, 2)
    ]
    noise = measure(trace, [bench.trace(states=states)[0] for states in disturbed])
    found = differences(trace, steps.trace, noise)
    if not decides(found):
        return f"The reference equals `fit` on {version}, within rounding."
    first = next(each for each in found if each.beyond and each.decides)
    return f"{BEWARE} the reference does not equal `fit` on {version}: {told_left(first)}."
