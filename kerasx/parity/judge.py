"""Judges whether two traces differ by more than the noise that was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasx.parity.records import STAGES, Array, Record, Reduced, StepTrace, Trace

# A difference counts from so many times what the disturbance of a weight by one unit in its last place makes,
# as two ways of writing one formula round at more places than one.
MARGIN = 32.0
# And from so many units in the last place of the largest value, where the disturbance makes none. Of a
# change: of the largest value that changed.
UNITS = 8.0

_GRADIENT, _CHANGE = "gradient of ", "change of "
SLOT = "slot "
_RESULTS = ("loss", "tape gradient of ")
_LABELS, _LABELS_OF_LOSS = "batch y", "y of the loss"

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
    for ours, theirs in zip(a.steps, b.steps, strict=False):
        here = list(_of_step(ours, theirs, noise))
        found += sorted(here, key=lambda each: STAGES.index(each.stage))
    if len(a.steps) != len(b.steps) and not found:
        longer = a if len(a.steps) > len(b.steps) else b
        at = longer.steps[min(len(a.steps), len(b.steps))]
        found.append(
            Difference(
                at.epoch, at.step, at.kind, "data", "number of steps", len(a.steps), len(b.steps),
                None, None, True, True,
            )
        )  # fmt: skip
    return found


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
        if right is None or left.role == "notes":
            continue
        is_made_up_for = quantity.startswith(_GRADIENT) and _updates_agree(
            ours.records.get(_CHANGE + quantity.removeprefix(_GRADIENT)),
            theirs.records.get(_CHANGE + quantity.removeprefix(_GRADIENT)),
        )
        stage = min(left.stage, right.stage, key=STAGES.index)
        decides = left.role == right.role == "decides" and not is_made_up_for
        found = compared(left, right, None if noise is None else noise.get((ours.kind, quantity), 0.0))
        if found is not None:
            yield Difference(ours.epoch, ours.step, ours.kind, stage, quantity, *found[:5], decides, found[5])


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
    scale = max(_scale(a), _scale(b))
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


def compared(
    left: Record, right: Record, noise: float | None
) -> tuple[Any, Any, float | None, float | None, bool, float | None] | None:
    """Compare two values.

    Returns:
        Both values, the relative difference, the relative noise, whether it is beyond noise, and the ratio;
        None where they are the same.
    """
    a, b = left.value, right.value
    if isinstance(a, str) or isinstance(b, str):
        return (
            None
            if a is b or (isinstance(a, str) and a == b)
            else (_shown(a), _shown(b), None, None, True, None)
        )
    if isinstance(a, Reduced) or isinstance(b, Reduced):
        return _reduced_compared(a, b, noise)
    if a.shape != b.shape:
        return (f"shape {list(a.shape)}", f"shape {list(b.shape)}", None, None, True, None)
    if a.dtype == b.dtype and a.tobytes() == b.tobytes():
        return None
    if a.dtype.kind in "US" or b.dtype.kind in "US":
        return None if np.array_equal(a, b) else ("text", "other text", None, None, True, None)
    distance = _distance(a, b)
    size = _largest(distance)
    if size == 0.0:
        return None  # zeros of two signs, or the same numbers in two dtypes
    scale = max(_scale(a), _scale(b))
    place = int(np.argmax(np.nan_to_num(distance, nan=np.inf, posinf=np.inf)))
    values = (_element(a, place), _element(b, place))
    relative = size / scale if np.isfinite(size) and scale else None
    if noise is None:
        return (*values, relative, None, True, _ratio(a, b))
    limit = MARGIN * noise + UNITS * max(_unit(a, b) * scale, left.unit, right.unit)
    beyond = not np.isfinite(size) or size > limit
    return (*values, relative, noise / scale if scale and np.isfinite(noise) else None, beyond, _ratio(a, b))


def _reduced_compared(
    a: Array | Reduced, b: Array | Reduced, noise: float | None
) -> tuple[Any, Any, float | None, float | None, bool, float | None] | None:
    """By digest, and by what is left of the values: their norm and their sketch."""
    from kerasx.parity.records import reduced

    left, right = (each if isinstance(each, Reduced) else reduced(each) for each in (a, b))
    if left.digest == right.digest and left.shape == right.shape:
        return None
    if left.shape != right.shape:
        return (f"shape {list(left.shape)}", f"shape {list(right.shape)}", None, None, True, None)
    scale = max(left.norm, right.norm)
    apart = np.subtract(left.sketch, right.sketch)
    distance = float(np.sqrt(np.mean(apart * apart)))
    relative = distance / scale if scale else 0.0
    limit = None
    if noise is not None:
        # What every element may differ by, as the norm of such differences.
        each = MARGIN * noise + UNITS * float(np.finfo(np.float32).eps) * max(left.largest, right.largest)
        limit = each * float(np.sqrt(np.prod(left.shape)))
    beyond = limit is None or distance > limit
    return (f"norm {left.norm:.8g}", f"norm {right.norm:.8g}", relative, None, beyond, None)


def _wide(array: Array) -> Array:
    return array.astype(np.float64)


def _distance(a: Array, b: Array) -> Array:
    """Absolute differences; 0 between values that are both infinite or both no numbers."""
    left, right = _wide(a), _wide(b)
    with np.errstate(invalid="ignore"):
        distance = np.abs(left - right)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    return np.where(same, 0.0, np.where(np.isnan(distance), np.inf, distance))


def farthest(a: Array, b: Array) -> float:
    """The largest absolute difference between two arrays of one shape."""
    return _largest(_distance(a, b))


def _scale(array: Array) -> float:
    """The largest absolute value that is finite."""
    values = _wide(array)
    return _largest(values[np.isfinite(values)])


def _largest(values: Array) -> float:
    return float(np.max(np.abs(values))) if values.size else 0.0


def _unit(a: Array, b: Array) -> float:
    """One unit in the last place of 1, of the coarser dtype."""
    coarsest = 0.0
    for array in (a, b):
        try:
            name = array.dtype.name
            unit = 2.0**-7 if name == "bfloat16" else float(np.finfo(array.dtype).eps)
        except ValueError:
            unit = 0.0
        coarsest = max(coarsest, unit)
    return coarsest


def _element(array: Array, place: int) -> Any:
    return array.reshape(-1)[place].item() if array.size else None


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return f"{value.dtype}{list(value.shape)}"


def _ratio(a: Array, b: Array) -> float | None:
    """The one factor between two arrays, within a thousandth at every element of some size, or None."""
    left, right = _wide(a).reshape(-1), _wide(b).reshape(-1)
    large = np.abs(right) > 0.1 * _largest(right)
    if not large.any() or not np.isfinite(left).all() or not np.isfinite(right).all():
        return None
    factors = left[large] / right[large]
    middle = float(np.median(factors))
    if middle == 0.0 or np.max(np.abs(factors - middle)) > 1e-3 * abs(middle):
        return None
    return middle


def decides(found: Iterable[Difference]) -> bool:
    """Whether two sides with these differences do or report something else."""
    return any(each.beyond and each.decides for each in found)
