"""Judges what trainings come to: against trainings of one side that noise was put into."""

from __future__ import annotations

from collections.abc import Sequence

from kerasx.parity.first_steps import end_trace
from kerasx.parity.judge import Difference, Envelope, differences
from kerasx.parity.lockstep import Told
from kerasx.parity.noise import ModelDisturbance, measure
from kerasx.parity.result import Side
from kerasx.parity.sides import Named
from kerasx.parity.state import FullState
from kerasx.parity.training import train_side
from kerasx.registry import Registry


class Ends:
    """What trainings come to, beside trainings of one side that noise was put into before each call.

    Args:
        sides: What is compared.
        ends: How their trainings went.
        states: What their trainings ended with; None where that is not known.
        registry: The engine's plugins.
        told: Told what is being done.
    """

    def __init__(
        self,
        sides: Sequence[Named],
        ends: Sequence[Side],
        states: Sequence[FullState | None],
        registry: Registry,
        told: Told,
    ) -> None:
        self._sides = sides
        self._ends = ends
        self._states = states
        self._registry = registry
        self._told = told
        self._noise: dict[int, Envelope] = {}

    def pair(self, a: int, b: int) -> list[Difference]:
        """The differences of two ends."""
        ours, theirs = self._states[a], self._states[b]
        if ours is None or theirs is None or not ours.fits(theirs):
            return []
        faster = min((a, b), key=lambda each: self._ends[each].seconds)
        if faster not in self._noise:
            side, end = self._sides[faster], self._states[faster]
            assert end is not None
            self._told(f"training {side.name} with noise, twice")
            disturbed = [train_side(side, self._registry, ModelDisturbance(seed))[1] for seed in (1, 2)]
            self._noise[faster] = measure(end_trace(end, 0), [end_trace(state, 0) for state in disturbed])
        last = self._sides[a].experiment.epochs - 1
        return differences(end_trace(ours, last), end_trace(theirs, last), self._noise[faster])
