"""Holds one training after the other against Keras's own semantics, as a check does."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kerasx.parity.explain.finding import Explanation
from kerasx.parity.explain.one_side import checked, is_plain, searched, told_of
from kerasx.parity.explain.outcome import Deviations
from kerasx.parity.explain.search import SEARCH_SECONDS
from kerasx.parity.explain.target import SECONDS, apart_from, observe
from kerasx.parity.first_steps import WHOLE
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
        found = searched(bench, target, lambda text: None, None, known=known, seconds=search_seconds)
        deviations = found.found[0].deviations if found.found else ()
        agrees = found.found is None or (bool(found.found) and not deviations)
        reference = "" if agrees else checked(bench, side, registry, WHOLE)
        return Held(told_of("Keras", side.name, found, reference, ()), deviations)


def trains_like_keras(side: Named, registry: Registry, *, limit: float = SECONDS) -> bool:
    """Whether the first steps of a training are Keras's, within rounding, whatever is reported of them.

    Arguments and errors are those of `held_against_keras`.
    """
    target = apart_from(observe(side, registry, seconds=limit), ("report",))
    with bench_of(side, registry) as bench:
        return is_plain(bench, target)
