"""Holds one training after the other against Keras's own semantics, as a check does."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kerasx.parity.explain.finding import Explanation
from kerasx.parity.explain.one_side import Explained, checked, is_plain, minimal, told_of
from kerasx.parity.explain.propose import propose
from kerasx.parity.explain.search import SEARCH_SECONDS, Deviations, Search
from kerasx.parity.explain.target import SECONDS, apart_from, observe
from kerasx.parity.first_steps import WHOLE
from kerasx.parity.judge import differences
from kerasx.parity.reference.bench import bench_of
from kerasx.parity.sides import Named
from kerasx.registry import Registry


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
            return Held(told_of("Keras", side.name, Explained(search, [search.outcome(())]), "", ()))
        reference = checked(bench, side, registry, WHOLE)
        again = next(filter(None, map(search.matching, known)), None)
        sets = search.smallest() if again is None else [again]
        explained = Explained(search, [minimal(search, each) for each in sets])
        told = told_of("Keras", side.name, explained, reference, ())
        return Held(told, explained.found[0].deviations if explained.found else ())


def trains_like_keras(side: Named, registry: Registry, *, limit: float = SECONDS) -> bool:
    """Whether the first steps of a training are Keras's, within rounding, whatever is reported of them.

    Arguments and errors are those of `held_against_keras`.
    """
    target = apart_from(observe(side, registry, seconds=limit), ("report",))
    with bench_of(side, registry) as bench:
        return is_plain(bench, target)
