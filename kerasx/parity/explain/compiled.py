"""What only shows as trainings are executed: stages are traced eagerly, where XLA compiles nothing."""

from __future__ import annotations

from dataclasses import replace

from kerasx.parity.explain.catalogue import CAUSES
from kerasx.parity.explain.finding import Explanation, Finding
from kerasx.parity.explain.one_side import Told
from kerasx.parity.explain.proof import told_left
from kerasx.parity.judge import RANDOM_NUMBERS
from kerasx.parity.lockstep import Lockstep
from kerasx.parity.sides import Named
from kerasx.parity.verdict import affected
from kerasx.registry import Registry


def with_compilation(found: Explanation, a: Named, b: Named, registry: Registry, told: Told) -> Explanation:
    """An explanation of two sides that agree step by step, with what XLA makes of one of them.

    Args:
        found: What was found.
        a: One side.
        b: The other.
        registry: The engine's plugins.
        told: Told what is being done.
    """
    traced = a.trace is not None or b.trace is not None
    if found.verdict == "diverged" or traced or a.experiment.jit == b.experiment.jit:
        return found
    parts = Lockstep((a, b), registry, told).pair(0, 1) or []
    deciding = [each for each in parts if each.beyond and each.decides]
    if not deciding:
        return found
    first = deciding[0]
    parted = replace(
        found,
        verdict="diverged",
        affects=affected(deciding),
        first_difference=first,
        notes=(),
        unexplained=True,
    )
    if first.quantity != RANDOM_NUMBERS:
        return parted
    side = b if b.experiment.jit else a
    cause = CAUSES["rng-stream"]
    finding = Finding(
        cause.id,
        cause.stage,
        side.name,
        f"`{side.name}` is compiled by XLA, which draws other random numbers; without any every step agrees.",
        "training",
        None,
        cause.fix,
        cause.code,
        "Weights change with it from the first step that draws.",
        (),
        True,
        told_left(first),
    )
    return replace(parted, findings=(finding,), unexplained=False)
