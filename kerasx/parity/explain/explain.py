"""Explains why two trainings differ, by the smallest set of causes that makes the reference do the same."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import keras

from kerasx.errors import UsageError
from kerasx.parity.explain.finding import Explanation, Finding
from kerasx.parity.explain.proof import apart, findings_of, told_left
from kerasx.parity.explain.propose import propose
from kerasx.parity.explain.search import SEARCH_SECONDS, Deviations, Outcome, Search
from kerasx.parity.explain.target import SECONDS, Target, apart_from, observe
from kerasx.parity.first_steps import WHOLE, take_steps
from kerasx.parity.judge import decides, differences
from kerasx.parity.noise import Disturbance, measure
from kerasx.parity.records import OWN_METRICS
from kerasx.parity.reference.bench import KERAS, Bench, NoReferenceError, bench_of
from kerasx.parity.sides import Named, measured_alike
from kerasx.parity.verdict import affected
from kerasx.registry import Registry

Told = Callable[[str], None]
_SAME = "No difference beyond rounding in the first steps of two epochs."


@dataclass(frozen=True)
class _Explained:
    """What was found for one side on the experiment of the other; None where the bits are the same."""

    search: Search
    found: list[Outcome] | None


def explain(
    a: Named | None,
    b: Named,
    registry: Registry,
    *,
    given: Deviations | None = None,
    told: Told = lambda text: None,
) -> Explanation:
    """Name the causes for which two trainings differ.

    The side that the reference reproduces as it is, on its own experiment, is the one that the other is held
    against. Where neither is, both are held against the reference on the first one's experiment, and what
    only one of them has is named.

    Args:
        a: One side; None for Keras's own semantics on the experiment of the other.
        b: The other.
        registry: The engine's plugins.
        given: The deviations of an explanation, which are tried again and no others; None to look for some.
        told: Told what is being done.

    Raises:
        UsageError: Something in an experiment is unknown, does not fit, or raises.
        PluginError: A plugin that was asked for fails.
    """
    name = "Keras" if a is None else a.name
    if a is not None:
        a, b = measured_alike([a, b], registry)
    told(f"tracing {b.name}")
    # A trace was taken as `compare` takes it.
    whole = WHOLE if b.trace is None and (a is None or a.trace is None) else 0
    target = observe(b, registry, whole=whole)
    if a is not None:
        told(f"tracing {a.name}")
        other = observe(a, registry, whole=whole)
    base = b if a is None or a.trace is not None else a
    notes: list[str] = []
    try:
        with bench_of(base, registry, whole=whole) as bench:
            told("running the reference")
            reference = _checked(bench, base, registry, whole)
            if a is None or _is_plain(bench, other):
                return _told(name, b.name, _searched(bench, target, told, given), reference, notes)
    except NoReferenceError as error:
        if a is None or b.trace is not None:
            raise
        notes.append(f"{a.name}: {error}")
        base = b
    # The first side is not what Keras does on its experiment: perhaps the second is on its own.
    if b.trace is None:
        with bench_of(b, registry, whole=whole) as bench:
            reference = _checked(bench, b, registry, whole)
            if _is_plain(bench, target):
                explained = _searched(bench, other, told, given)
                return _told(b.name, a.name, explained, reference, notes)
    with bench_of(base, registry, whole=whole) as bench:
        return _both(bench, a.name, b.name, other, target, reference, notes, told)


@dataclass(frozen=True)
class Held:
    """One training, held against what Keras does on its experiment.

    Attributes:
        explanation: What was found.
        deviations: What reproduces it; none where it agrees, or is not explained.
    """

    explanation: Explanation
    deviations: Deviations = ()


def held_against_keras(
    side: Named,
    registry: Registry,
    *,
    known: Sequence[Deviations] = (),
    leaving: Collection[str] = (),
    limit: float = SECONDS,
    search_seconds: float = SEARCH_SECONDS,
) -> Held:
    """Hold a training against Keras's own semantics, one of several.

    Where the bits are the same there is nothing to verify the reference for.

    Args:
        side: Which.
        registry: The engine's plugins.
        known: What has explained others, to be tried first.
        leaving: Stages at which it is meant to differ, which are not looked at.
        limit: How many seconds its first steps may take.
        search_seconds: How long to look for causes.

    Raises:
        UsageError: As of `explain`.
        PluginError: As of `explain`.
    """
    target = observe(side, registry, seconds=limit)
    with bench_of(side, registry) as bench:
        target = apart_from(target, leaving, bench.reported)
        plain, _ = bench.trace(like=target.steps, states=target.steps.states)
        if not differences(plain, target.steps.trace):
            return Held(Explanation("Keras", side.name, "identical", None))
        search = Search(bench, target, propose, search_seconds)
        if search.outcome(()).matches:
            return Held(_told("Keras", side.name, _Explained(search, [search.outcome(())]), "", ()))
        reference = _checked(bench, side, registry, WHOLE)
        again = next(filter(None, map(search.matching, known)), None)
        sets = search.smallest() if again is None else [again]
        explained = _Explained(search, [_minimal(search, each) for each in sets])
        told = _told("Keras", side.name, explained, reference, ())
        return Held(told, explained.found[0].deviations if explained.found else ())


def trains_like_keras(side: Named, registry: Registry, *, limit: float = SECONDS) -> bool:
    """Whether the first steps of a training are Keras's, within rounding, whatever is reported of them.

    Arguments and errors are those of `held_against_keras`.
    """
    target = apart_from(observe(side, registry, seconds=limit), ("report",))
    with bench_of(side, registry) as bench:
        return _is_plain(bench, target)


def _is_plain(bench: Bench, target: Target) -> bool:
    """Whether a side does what Keras does on the bench's experiment."""
    target = apart_from(target, (), bench.reported)
    plain, _ = bench.trace(like=target.steps, states=target.steps.states)
    return not differences(plain, target.steps.trace) or Search(bench, target, propose).outcome(()).matches


def _searched(bench: Bench, target: Target, told: Told, given: Deviations | None) -> _Explained:
    target = apart_from(target, (), bench.reported)
    search = Search(bench, target, propose)
    plain, _ = bench.trace(like=target.steps, states=target.steps.states)
    if not differences(plain, target.steps.trace):
        return _Explained(search, None)
    if search.outcome(()).matches:
        return _Explained(search, [search.outcome(())])
    if given is not None:
        told("putting the causes into the reference again")
        again = search.matching(given)
        return _Explained(search, [] if again is None else [again])
    told(f"looking for what {target.name} does otherwise")
    return _Explained(search, [_minimal(search, each) for each in search.smallest()])


def _minimal(search: Search, outcome: Outcome) -> Outcome:
    """Without what is not needed, as one deviation may make another superfluous."""
    here = outcome
    for each in outcome.deviations:
        fewer = tuple(other for other in here.deviations if other != each)
        without = search.outcome(fewer, here.ignored)
        if without.matches:
            here = without
    return here


def _told(
    keras_side: str, side: str, explained: _Explained, reference: str, notes: Sequence[str]
) -> Explanation:
    """The explanation of one side that is held against the reference."""
    search, found = explained.search, explained.found
    if found is None:
        return Explanation(keras_side, side, "identical", None, reference=reference, notes=(*notes, _SAME))
    if (unsteady := search.target.unsteady) is not None:
        notes = [*notes, f"{side} does not repeat itself: {unsteady} differs from one state"]
    whole = search.outcome((), whole=True)
    every = differences(whole.trace, search.target.steps.trace, search.target.noise)
    if not decides(every):
        verdict = "identical" if not every else "equivalent"
        return Explanation(keras_side, side, verdict, None, reference=reference, notes=(*notes, _SAME))
    deciding = [each for each in every if each.beyond and each.decides]
    affects = affected(deciding)
    if search.is_out_of_time:
        notes = [*notes, f"the search was ended after {search.tried} runs of the reference"]
    if not found:
        return Explanation(
            keras_side, side, "diverged", affects, (), (), True, deciding[0], reference, "", tuple(notes)
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
        deciding[0],
        reference,
        apart(named) if len(named) > 1 else "",
        tuple(notes),
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


def _checked(bench: Bench, side: Named, registry: Registry, whole: int) -> str:
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
    return f"Beware: the reference does not equal `fit` on {version}: {told_left(first)}."


def _both(
    bench: Bench,
    a: str,
    b: str,
    other: Target,
    target: Target,
    reference: str,
    notes: Sequence[str],
    told: Told,
) -> Explanation:
    """Two sides of which neither is Keras's: what each has that the other has not."""
    sides = [_searched(bench, each, told, None) for each in (other, target)]
    alone = [_told("Keras", name, each, reference, notes) for name, each in zip((a, b), sides, strict=True)]
    sets = [{_key(each) for each in one.findings} for one in alone]
    findings = [
        each
        for one, theirs in ((alone[0], sets[1]), (alone[1], sets[0]))
        for each in one.findings
        if _key(each) not in theirs
    ]
    both = differences(other.steps.trace, target.steps.trace, target.noise)
    deciding = [each for each in both if each.beyond and each.decides]
    unexplained = any(each.unexplained for each in alone)
    if not deciding and not findings:
        verdict = "equivalent" if both else "identical"
        return Explanation(a, b, verdict, None, reference=reference, notes=(*notes, _SAME))
    return Explanation(
        a,
        b,
        "diverged",
        "training" if any(each.affects == "training" for each in findings) else affected(deciding),
        tuple(findings),
        (),
        unexplained,
        deciding[0] if deciding else None,
        reference,
        "",
        (*notes, "neither side is what Keras does: each was held against the reference by itself"),
    )


def _key(finding: Finding) -> tuple[str, str]:
    return finding.cause, str(finding.deviations)
