"""Noise: what rounding makes of a training, measured by disturbing weights in their last place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from kerasx.parity.alignment import aligned
from kerasx.parity.records import Record, Reduced, Trace
from kerasx.parity.state import FullState, read_state, set_state
from kerasx.parity.values import farthest, scale_of

_SIZED = ("batch ", "inputs of the first forward pass", "outputs", "loss", "reported loss")

# As a share of a weight; further away it is another training.
_FARTHEST = 2.0**-5

# Of dtypes that weights are cast to from a finer one.
_UNITS = {"bfloat16": 2.0**-7, "float16": 2.0**-10}


@dataclass(frozen=True)
class Disturbance:
    """Moves every weight by one unit in its last place, up or down, before each step.

    Attributes:
        seed: Of the directions.
        unit: The distance from 1 to the next number of the dtype that weights are computed with, where it is
            coarser than that which they are kept in; 0 where it is not.
        times: By how many units, as far as they come to no more than a thirty-second of a weight.
    """

    seed: int
    unit: float = 0.0
    times: float = 1.0

    def __call__(self, state: FullState, step: int) -> FullState:
        """The state, disturbed: the model's variables but for integers, such as seeds.

        Args:
            state: The state.
            step: The number of the step.
        """
        rng = np.random.default_rng([self.seed, step])

        def moved(value: Any) -> Any:
            if not keras.backend.is_float_dtype(value.dtype.name):
                return value
            up = rng.random(value.shape) >= 0.5
            next_ones = np.nextafter(value, np.where(up, np.inf, -np.inf).astype(value.dtype))
            own = _UNITS.get(value.dtype.name) or (
                np.finfo(value.dtype).eps if value.dtype.kind == "f" else 0.0
            )
            unit = max(float(own), self.unit)
            size = max(unit, min(self.times * unit, _FARTHEST))
            if size == own or not own:
                return next_ones
            wide = value.astype(np.float64)
            _, exponent = np.frexp(wide)
            step = np.ldexp(size, exponent - 1)
            return np.where(wide == 0.0, next_ones, (wide + np.where(up, step, -step)).astype(value.dtype))

        values = [moved(value) if number < state.own else value for number, value in enumerate(state.values)]
        return replace(state, values=tuple(values))


@dataclass
class ModelDisturbance:
    """The same for a model that is trained: before each call of a step.

    Attributes:
        seed: Of the directions.
        is_narrow: Whether units are those of the dtype that the model computes with.
        times: By how many units.
    """

    seed: int
    is_narrow: bool = False
    times: float = 1.0
    _calls: int = 0

    def __call__(self, model: keras.Model) -> None:
        """Disturb the model."""
        self._calls += 1
        disturbance = Disturbance(self.seed, unit_of(model) if self.is_narrow else 0.0, self.times)
        set_state(model, disturbance(read_state(model), self._calls))


def unit_of(model: keras.Model) -> float:
    """The distance from 1 to the next number of the coarsest dtype that a layer of a model computes with."""
    dtypes = {str(layer.compute_dtype) for layer in (model, *model.layers)}
    return max((_UNITS.get(dtype, 0.0) for dtype in dtypes), default=0.0)


def drawn_anew(base: Trace, again: Trace) -> str | None:
    """A quantity in which one side differs from itself by more than rounding, as where it draws other data.

    What is trained on, what comes out of it and the loss have sizes of their own, of which rounding leaves
    half of the places as they are; gradients and updates may be rounding throughout.

    Args:
        base: Steps of the side.
        again: The same, each from the same state.

    Returns:
        Its name; None where it does the same each time.
    """
    for ours, theirs in aligned(base.steps, again.steps):
        if ours is None or theirs is None:
            return "number of steps"
        for quantity, record in ours.records.items():
            other = theirs.records.get(quantity)
            if quantity.startswith(_SIZED) and other is not None and _are_apart(record, other):
                return quantity
    return None


def _are_apart(ours: Record, theirs: Record) -> bool:
    a, b = ours.value, theirs.value
    if isinstance(a, str | Reduced) or isinstance(b, str | Reduced) or a.dtype.kind in "US":
        return False
    if a.shape != b.shape:
        return True
    unit = _UNITS.get(a.dtype.name, float(np.finfo(np.float32).eps))
    return bool(farthest(a, b) > float(np.sqrt(unit)) * max(scale_of(a), scale_of(b)))


def measure(base: Trace, others: Iterable[Trace]) -> dict[tuple[str, str], float]:
    """The noise of each quantity: how far disturbed repetitions of one side come from it.

    Returns:
        By kind of step and quantity, the largest absolute difference of all steps and repetitions.
    """
    noise: dict[tuple[str, str], float] = {}
    for other in others:
        for ours, theirs in aligned(base.steps, other.steps):
            if ours is None or theirs is None:
                continue
            for quantity, record in ours.records.items():
                against = theirs.records.get(quantity)
                if against is None or isinstance(record.value, str | Reduced):
                    continue
                if isinstance(against.value, str | Reduced) or against.value.shape != record.value.shape:
                    continue
                if record.value.dtype.kind in "US":
                    continue
                size = farthest(record.value, against.value)
                if not np.isfinite(size):
                    continue  # an overflow here and not there is no measure of anything else
                key = (ours.kind, quantity)
                noise[key] = max(noise.get(key, 0.0), size)
    return noise
