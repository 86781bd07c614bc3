"""Explains why two trainings differ, by the smallest set of causes that makes the reference do the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kerasx.parity.explain.executed import as_executed
from kerasx.parity.explain.finding import Explanation, Finding
from kerasx.parity.explain.one_side import SAME, Told, checked, is_plain, searched, told_of
from kerasx.parity.explain.outcome import Deviations
from kerasx.parity.explain.target import Target, observe
from kerasx.parity.first_steps import WHOLE
from kerasx.parity.judge import differences
from kerasx.parity.reference.bench import KERAS, Bench, NoReferenceError, bench_of
from kerasx.parity.sides import Named, executable, measured_alike, notes_of
from kerasx.parity.verdict import affected
from kerasx.registry import Registry
from kerasx.training.distribution import claim_devices


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
    found = _looked_into(a, b, registry, given, told)
    sides = [b] if a is None else [a, b]
    changed = [
        f"{', '.join(side.changed)} has changed since {side.run.name}: what it says now was looked at"
        for side in sides
        if side.run is not None and side.of is None and side.changed
    ]
    return replace(found, notes=(*notes_of(sides), *changed, *found.notes))


def _looked_into(
    a: Named | None, b: Named, registry: Registry, given: Deviations | None, told: Told
) -> Explanation:
    claim_devices([each.experiment.devices for each in (a, b) if each is not None])
    if a is None:
        found = _explained(None, b, registry, given, told)
        if b.trace is None:
            a = Named("Keras", b.experiment.with_values(strategy=KERAS), run=b.run)
            found = as_executed(found, a, b, registry, told)
        return found
    a, b = measured_alike(executable([a, b], registry), registry)
    return as_executed(_explained(a, b, registry, given, told), a, b, registry, told)


def _explained(
    a: Named | None, b: Named, registry: Registry, given: Deviations | None, told: Told
) -> Explanation:
    name = "Keras" if a is None else a.name
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
            reference = checked(bench, base, registry, whole)
            if a is None or is_plain(bench, other):
                return told_of(name, b.name, searched(bench, target, told, given), reference, notes)
    except NoReferenceError as error:
        if a is None or b.trace is not None:
            raise
        notes.append(f"{a.name}: {error}")
        base = b
    # The first side is not what Keras does on its experiment: perhaps the second is on its own.
    if b.trace is None:
        with bench_of(b, registry, whole=whole) as bench:
            reference = checked(bench, b, registry, whole)
            if is_plain(bench, target):
                explained = searched(bench, other, told, given)
                return told_of(b.name, a.name, explained, reference, notes)
    with bench_of(base, registry, whole=whole) as bench:
        return _both(bench, a.name, b.name, other, target, reference, notes, told)


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
    sides = [searched(bench, each, told, None) for each in (other, target)]
    alone = [told_of("Keras", name, each, reference, notes) for name, each in zip((a, b), sides, strict=True)]
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
        return Explanation(a, b, verdict, None, reference=reference, notes=(*notes, SAME))
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
