"""What only shows as trainings are executed: stages are traced eagerly, on one device and without XLA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from kerasx.parity.explain.catalogue import CAUSES
from kerasx.parity.explain.finding import Evidence, Explanation, Finding
from kerasx.parity.explain.one_side import Told
from kerasx.parity.explain.proof import told_left
from kerasx.parity.judge import RANDOM_NUMBERS, Difference
from kerasx.parity.lockstep import Lockstep
from kerasx.parity.sides import Named
from kerasx.parity.verdict import affected
from kerasx.registry import Registry
from kerasx.training.steps import Logs, train_step_on


def as_executed(found: Explanation, a: Named, b: Named, registry: Registry, told: Told) -> Explanation:
    """An explanation of two sides step by step, with what their execution makes of them.

    Args:
        found: What was found.
        a: One side.
        b: The other.
        registry: The engine's plugins.
        told: Told what is being done.
    """
    traced = a.trace is not None or b.trace is not None
    devices = max(each.experiment.devices or 1 for each in (a, b))
    has_jit = a.experiment.jit != b.experiment.jit
    if traced or not (has_jit or devices > 1):
        return found
    if found.verdict == "diverged":
        if devices > 1:
            note = f"what {devices} devices change was not looked at: the steps differ on one"
            found = replace(found, notes=(*found.notes, note))
        return found
    first = _first(Lockstep((a, b), registry, told).pair(0, 1))
    if first is None:
        return found
    parted = replace(
        found,
        verdict="diverged",
        affects=affected([first]),
        first_difference=first,
        notes=(),
        unexplained=True,
    )
    finding = None
    if first.quantity == RANDOM_NUMBERS:
        finding = _by_xla(b if b.experiment.jit else a, first)
    elif devices > 1:
        told(f"leaving the loss undivided on each of {devices} devices")
        finding = _by_devices(a, b, first, registry, told)
    return parted if finding is None else replace(parted, findings=(finding,), unexplained=False)


def _first(parts: Sequence[Difference] | None) -> Difference | None:
    """Where two sides part; None where they do not, or cannot be looked at."""
    return next((each for each in parts or () if each.beyond and each.decides), None)


def _by_xla(side: Named, first: Difference) -> Finding:
    return _finding(
        "rng-stream",
        side.name,
        f"`{side.name}` is compiled by XLA, which draws other random numbers; without any every step agrees.",
        "Weights change with it from the first step that draws.",
        first,
    )


def _by_devices(a: Named, b: Named, first: Difference, registry: Registry, told: Told) -> Finding | None:
    """That one of two sides leaves its loss undivided on each device, where Keras's step does so then."""
    devices = a.experiment.devices or 1
    if devices != (b.experiment.devices or 1):
        return None
    for keras_side, side in ((a, b), (b, a)):
        undivided = keras_side.experiment.with_values(strategy=_undivided)
        imitation = replace(keras_side, experiment=undivided)
        left = Lockstep((imitation, side), registry, told).executed(0, 1)
        if left is None or _first(left) is not None:
            continue
        one, other = (first.a, first.b) if side is b else (first.b, first.a)
        shown = replace(first, a=one, b=other)
        same = [each.relative for each in left if _place(each) == _place(first)]
        evidence = Evidence(
            first.stage, first.quantity, one, other, first.relative, (same or [0.0])[0], first.noise
        )
        return _finding(
            "replica-scale",
            side.name,
            f"`{side.name}` does not divide its loss by the {devices} devices, whose gradients are summed:"
            f" each update has a gradient {devices} times that of Keras. On one device every step agrees.",
            f"With plain SGD it does what a learning rate {devices} times as large would do; with Adam or"
            " RMSprop, which divide by the size of gradients, the weights would hardly show it.",
            shown,
            factor=float(devices),
            evidence=(evidence,),
        )
    return None


def _place(difference: Difference) -> tuple[Any, ...]:
    return difference.epoch, difference.step, difference.kind, difference.quantity


def _undivided(model: keras.Model, data: Any) -> Logs:
    """Keras's training step, but for the division of each device's loss by their number."""
    devices = tf.distribute.get_strategy().num_replicas_in_sync
    return train_step_on(model, data, lambda loss: loss * devices)


def _finding(
    cause: str, side: str, sentence: str, consequence: str, first: Difference, **more: Any
) -> Finding:
    known = CAUSES[cause]
    return Finding(
        known.id,
        known.stage,
        side,
        sentence,
        "training",
        more.pop("factor", None),
        known.fix,
        known.code,
        consequence,
        (),
        True,
        told_left(first),
        **more,
    )
