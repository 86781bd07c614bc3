"""Noise: what rounding makes of a training, measured by disturbing weights in their last place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from kerasx.parity.alignment import aligned
from kerasx.parity.records import Reduced, Trace
from kerasx.parity.state import FullState, read_state, set_state
from kerasx.parity.values import farthest


@dataclass(frozen=True)
class Disturbance:
    """Moves every weight by one unit in its last place, up or down, before each step.

    Attributes:
        seed: Of the directions.
    """

    seed: int

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
            towards = np.where(rng.random(value.shape) < 0.5, -np.inf, np.inf).astype(value.dtype)
            return np.nextafter(value, towards)

        values = [moved(value) if number < state.own else value for number, value in enumerate(state.values)]
        return replace(state, values=tuple(values))


@dataclass
class ModelDisturbance:
    """The same for a model that is trained: before each call of a step.

    Attributes:
        seed: Of the directions.
    """

    seed: int
    _calls: int = 0

    def __call__(self, model: keras.Model) -> None:
        """Disturb the model."""
        self._calls += 1
        set_state(model, Disturbance(self.seed)(read_state(model), self._calls))


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
                key = (ours.kind, quantity)
                noise[key] = max(noise.get(key, 0.0), size)
    return noise
