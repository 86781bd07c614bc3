"""Judges whether two traces differ by more than the noise that was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasx.parity.alignment import aligned
from kerasx.parity.records import STAGES, Record, Reduced, StepTrace, Trace
from kerasx.parity.values import compared, farthest, scale_of

_GRADIENT, _CHANGE = "gradient of ", "change of "
SLOT = "slot "
_RESULTS = ("loss", "tape gradient of ")
_LABELS, _LABELS_OF_LOSS = "batch y", "y of the loss"

# What each batch returns by itself.
RETURNED = "returned "

# What differs where one side takes a step that the other does not.
STEPS = "number of steps"

# What differs where two records are of trainings on other data.
DIGEST = "digest of the data"

# What differs where XLA draws the masks of dropout, and nothing else does.
RANDOM_NUMBERS = "random numbers"


@dataclass(frozen=True)
class Difference:
    """A quantity that differs between two traces.

    Attributes:
        epoch: Where, counted from 0.
        step: The number of the batch in its epoch, counted from 0; None for what an epoch reports.
        kind: `training`, `evaluation`, `epoch` or `end`.
        stage: The stage that brings the quantity forth.
        quantity: Which.
        a: The value on one side: a number, or the element that differs most, or a text.
        b: That on the other.
        relative: The largest difference as a share of the largest value; None of texts.
        noise: The largest difference that noise makes, in the same share; None where none was measured.
        beyond: Whether it is more than noise can make.
        decides: Whether it is one in what training does or reports.
        ratio: What b has to be divided by to come out as a, where one number does it; None otherwise.
    """

    epoch: int
    step: int | None
    kind: str
    stage: str
    quantity: str
    a: Any
    b: Any
    relative: float | None
    noise: float | None
    beyond: bool
    decides: bool
    ratio: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As `kerasx compare --json` prints it."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "stage": self.stage,
            "quantity": self.quantity,
            "a": self.a,
            "b": self.b,
            "relative": self.relative,
            "noise": self.noise,
            "ratio": self.ratio,
        }


# By step's place in the trace and quantity: the largest difference that was measured, and the scale.
Envelope = Mapping[tuple[str, str], float]


def differences(a: Trace, b: Trace, noise: Envelope | None = None) -> list[Difference]:
    """All quantities that differ, in the order of steps and, within a step, of stages.

    Args:
        a: One trace.
        b: Another, of the same steps.
        noise: As measured; None where nothing but identical bits is to count as equal.
    """
    found: list[Difference] = []
    for ours, theirs in aligned(a.steps, b.steps):
        if ours is not None and theirs is not None:
            found += step_differences(ours, theirs, noise)
        elif (there := ours or theirs) is not None and not decides(found):
            # What follows from a difference before it is told by that one.
            epoch, kind = there.epoch, there.kind
            left, right = (
                sum((step.epoch, step.kind) == (epoch, kind) for step in each.steps) for each in (a, b)
            )
            found.append(
                Difference(epoch, there.step, kind, "data", STEPS, left, right, None, None, True, True)
            )
    return found


def step_differences(ours: StepTrace, theirs: StepTrace, noise: Envelope | None = None) -> list[Difference]:
    """The quantities in which two steps differ, in the order of stages; arguments as of `differences`."""
    return sorted(_of_step(ours, theirs, noise), key=lambda each: STAGES.index(each.stage))


def _of_step(ours: StepTrace, theirs: StepTrace, noise: Envelope | None) -> Iterable[Difference]:
    found = list(_of_records(ours, theirs, noise))
    # Of a pipeline it is not known what it hands out, but what the loss is given.
    labels = _LABELS if _LABELS in ours.records else _LABELS_OF_LOSS
    if _same_labels(ours.records.get(labels), theirs.records.get(labels)) and all(
        each.ratio is not None for each in found if each.beyond and each.quantity.startswith(_RESULTS)
    ):
        # The same classes, encoded as the loss of each takes them; a factor does not come from that.
        return [each for each in found if each.quantity not in (_LABELS, _LABELS_OF_LOSS)]
    return found


def _of_records(ours: StepTrace, theirs: StepTrace, noise: Envelope | None) -> Iterable[Difference]:
    for quantity, left in ours.records.items():
        right = theirs.records.get(quantity)
        if right is None or "notes" in (left.role, right.role):
            continue
        is_made_up_for = quantity.startswith(_GRADIENT) and _updates_agree(
            ours.records.get(_CHANGE + quantity.removeprefix(_GRADIENT)),
            theirs.records.get(_CHANGE + quantity.removeprefix(_GRADIENT)),
        )
        stage = min(left.stage, right.stage, key=STAGES.index)
        decides = left.role == right.role == "decides" and not is_made_up_for
        key = (ours.kind, quantity)
        found = compared(left, right, None if noise is None else noise.get(key, 0.0))
        if found is not None:
            a, b, relative, relative_noise, beyond, ratio = found
            if noise is None or key not in noise:
                relative_noise = None  # was measured on a side that has no such quantity
            yield Difference(
                ours.epoch, ours.step, ours.kind, stage, quantity, a, b, relative, relative_noise, beyond,
                decides, ratio,
            )  # fmt: skip


def _updates_agree(left: Record | None, right: Record | None) -> bool:
    """Whether a variable changes on both sides in the same manner, and so far that it can be told.

    Gradients that differ are made up for then, by a learning rate or by who clips or decays. Where the change
    is lost in what the variable is rounded to, it tells nothing of the gradients.
    """
    if left is None or right is None:
        return False
    a, b = left.value, right.value
    if isinstance(a, str | Reduced) or isinstance(b, str | Reduced) or a.shape != b.shape:
        return False
    scale = max(scale_of(a), scale_of(b))
    return scale > 100 * max(left.unit, right.unit) and farthest(a, b) < 0.01 * scale


def _same_labels(left: Record | None, right: Record | None) -> bool:
    """Whether two sides are handed the same class numbers, encoded as the loss of each takes them."""
    if left is None or right is None:
        return False
    a, b = left.value, right.value
    if isinstance(a, str | Reduced) or isinstance(b, str | Reduced):
        return False
    a, b = (each[:, 0] if each.ndim == 2 and each.shape[1] == 1 else each for each in (a, b))
    if a.ndim == b.ndim:
        return bool(np.array_equal(a, b))
    numbers, rows = (a, b) if a.ndim < b.ndim else (b, a)
    one_hot = np.zeros(rows.shape)
    if (
        rows.ndim != 2
        or numbers.shape != rows.shape[:1]
        or not np.isin(numbers, np.arange(rows.shape[1])).all()
    ):
        return False
    one_hot[np.arange(len(numbers)), numbers.astype(np.int64)] = 1.0
    return bool((one_hot == rows).all())


def decides(found: Iterable[Difference]) -> bool:
    """Whether two sides with these differences do or report something else."""
    return any(each.beyond and each.decides for each in found)
