"""Refutes sets of deviations by the report alone, without a run of the reference."""

from __future__ import annotations

from collections.abc import Callable

import keras

from kerasx.parity.explain.outcome import Deviations, Outcome
from kerasx.parity.judge import Difference
from kerasx.parity.records import StepTrace
from kerasx.parity.reference.deviation import At
from kerasx.parity.reference.rehearsal import rehearsed

# The differences of a step, at its place, that are beyond noise, with deviations and what is ignored.
Beyond = Callable[[int, StepTrace, Deviations, frozenset[str]], list[Difference]]


class Refuter:
    """Tries what only changes the report on the losses and outputs of a run that there was.

    Args:
        model: That the reference is run with.
        beyond: Holds a step against that of the side.

    Attributes:
        refuted: All that was refuted, each with what it leaves different.
    """

    def __init__(self, model: keras.Model, beyond: Beyond) -> None:
        self.refuted: list[Outcome] = []
        self._model = model
        self._beyond = beyond
        self._is_faithful: dict[tuple[int, int], bool] = {}

    def refute(self, here: Outcome, deviations: Deviations, runs: int) -> Outcome | None:
        """What the report alone shows not to lead further; None where it takes a run to see.

        Args:
            here: How far one has come; held by the caller as long as this object lives.
            deviations: Those of `here`, and others.
            runs: How many there were: each leaves the model otherwise, which a user's metrics may look at.
        """
        added = [each for each in deviations if each not in here.deviations]
        first = here.first
        if first is None or first.stage != "report" or len(added) + len(here.deviations) != len(deviations):
            return None
        kind = "evaluation" if first.kind == "evaluation" else "training"
        at = At(self._model, kind, first.epoch)
        if not all(each.is_rehearsed(at) for each in added) or not self._can_rehearse(here, runs):
            return None
        try:
            found = self._rehearse(here, deviations)
        except Exception:  # whatever Keras raises on what does not fit, which a run will show
            return None
        if not found:
            return None
        refuted = Outcome(deviations, found[0], tuple(found), here.progress, here.trace, ignored=here.ignored)
        self.refuted.append(refuted)
        return refuted

    def _can_rehearse(self, here: Outcome, runs: int) -> bool:
        """Whether the report that a run came to is come to without it, with the model as it now is."""
        key = (id(here), runs)
        if key not in self._is_faithful:
            try:
                found = self._rehearse(here, here.deviations)
            except Exception:  # whatever Keras, or a user's metric, raises
                found = []
            told = [(each.quantity, each.a) for each in here.here if each.quantity != "epoch's names"]
            self._is_faithful[key] = [(each.quantity, each.a) for each in found] == told
        return self._is_faithful[key]

    def _rehearse(self, here: Outcome, deviations: Deviations) -> list[Difference]:
        place = here.progress[0]
        step = rehearsed(self._model, deviations, here.memory, here.step, place)
        return self._beyond(place, step, deviations, here.ignored)
