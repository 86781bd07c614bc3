"""What is observed of a training: records of each step by stage, and the trace they make up."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

STAGES = ("data", "initial-state", "forward", "loss", "gradient", "update", "state", "report")

Array = npt.NDArray[Any]

# How many products with random signs are kept of a large array.
_SKETCH = 16


@dataclass(frozen=True)
class Reduced:
    """What is kept of an array that is too large for a saved trace.

    Attributes:
        shape: Of the array.
        dtype: Its name.
        digest: SHA-256 over its bytes.
        norm: The square root of the sum of squares of all finite values, in float64; 0 of text.
        largest: The largest absolute value of these.
        sketch: Products of these values with fixed random signs, in float64: how far two arrays lie apart can
            be told from them (Alon, Matias and Szegedy, 1996), be they of one norm or not.
    """

    shape: tuple[int, ...]
    dtype: str
    digest: str
    norm: float
    largest: float
    sketch: tuple[float, ...]


Value = Array | Reduced | str
Role = Literal["decides", "tells", "notes"]


@dataclass(frozen=True)
class Record:
    """One quantity of one step.

    Attributes:
        stage: The stage that brings it forth.
        value: An array in its own dtype, a text (a training flag, the class of an optimizer), or what is
            kept of a large array.
        role: Whether a difference in it `decides` that the two do or report something else; only `tells`
            where such a difference comes from, as whoever scales a loss and unscales the gradients does no
            other training; or `notes` how something was done, which is not compared.
        unit: Of a change, one unit in the last place of the largest value that changed, as it is rounded.
    """

    stage: str
    value: Value
    role: Role = "tells"
    unit: float = 0.0


@dataclass
class StepTrace:
    """What was observed of one step.

    Attributes:
        epoch: Counted from 0.
        step: The number of its batch in the experiment's epoch, counted from 0.
        kind: `training`, `evaluation`, `epoch` for what is there once an epoch has ended, or `end`.
        records: By quantity.
    """

    epoch: int
    step: int | None
    kind: str = "training"
    records: dict[str, Record] = field(default_factory=dict)

    def add(self, stage: str, quantity: str, value: Any, role: Role = "tells", unit: float = 0.0) -> None:
        """Keep a value; a quantity that occurs again is numbered."""
        name, number = quantity, 1
        while name in self.records:
            number += 1
            name = f"{quantity} ({number})"
        kept = value if isinstance(value, str | Reduced) else np.asarray(value)
        self.records[name] = Record(stage, kept, role, unit)


# What a trace is about: names of metrics that a model's own step measures beside Keras's.
OWN_METRICS = "own metrics"


@dataclass
class Trace:
    """The first steps of one training.

    Attributes:
        name: What was traced.
        steps: In the order in which they were taken.
        about: Versions, execution, seed and the like.
    """

    name: str
    steps: list[StepTrace] = field(default_factory=list)
    about: Mapping[str, Any] = field(default_factory=dict)


def _signs(number: int, size: int) -> Array:
    return np.random.default_rng(number).integers(0, 2, size, dtype=np.int8).astype(bool)


def reduced(array: Array) -> Reduced:
    """What is kept of an array that is too large to be kept whole."""
    is_number = array.size and array.dtype.kind not in "USO"
    wide = array.astype(np.float64).reshape(-1) if is_number else np.zeros(1)
    wide = np.where(np.isfinite(wide), wide, 0.0)
    return Reduced(
        tuple(array.shape),
        array.dtype.name,
        hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest(),
        float(np.sqrt(np.sum(wide * wide))),
        float(np.abs(wide).max()),
        tuple(float(np.sum(np.where(_signs(number, wide.size), wide, -wide))) for number in range(_SKETCH)),
    )
