"""Searches for the smallest sets of deviations with which the reference reproduces a side."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

from kerasx.parity.explain.outcome import Deviations, Outcome
from kerasx.parity.explain.refuter import Refuter
from kerasx.parity.explain.target import Target
from kerasx.parity.judge import RETURNED, Difference, Envelope, differences, step_differences
from kerasx.parity.noise import measure
from kerasx.parity.records import STAGES, StepTrace, Trace
from kerasx.parity.reference.bench import Bench
from kerasx.parity.reference.of_criterion import LabelsOfLoss
from kerasx.parity.reference.of_data import OtherLabels, OtherRows
from kerasx.parity.reference.of_metrics import Measured

# Of the processor, so that a busy machine finds what an idle one does.
SEARCH_SECONDS = 60.0
_DISTURBANCES = 2

# What only tells where a difference comes from, and is worth following.
_TELLING = (
    "the batch",
    "inputs of the first forward pass",
    "y of the loss",
    "trained variables",
    "training flag",
    "outputs",
    "loss",
    "dtype of the loss",
    "tape gradient of ",
    RETURNED,
)

Propose = Callable[["Search", Outcome], Iterator[Sequence[Deviations]]]


class Search:
    """Looks for deviations that explain one side.

    Args:
        bench: The reference, on the experiment that the side is held against.
        target: The side.
        propose: Gives, for how far one has come, sets of deviations to go on with, in ranks: a rank is
            tried where the one before it did not lead further.
        seconds: After so many seconds of the processor no further sets are tried.

    Attributes:
        tried: How many runs there were.
        is_out_of_time: Whether there might have been more.
    """

    def __init__(
        self, bench: Bench, target: Target, propose: Propose, seconds: float = SEARCH_SECONDS
    ) -> None:
        self.bench = bench
        self.target = target
        self.tried = 0
        self.is_out_of_time = False
        self._until = time.process_time() + seconds
        self._propose = propose
        self._known: dict[Any, Outcome] = {}
        self._refuter = Refuter(bench.model, self._beyond)
        self._noises: dict[Deviations, Envelope] = {}

    @property
    def runs(self) -> list[Outcome]:
        """All that was tried."""
        return [*self._known.values(), *self._refuter.refuted]

    def outcome(
        self, deviations: Deviations, ignored: frozenset[str] = frozenset(), *, whole: bool = False
    ) -> Outcome:
        """Run the reference with deviations, to the first difference or to the end."""
        written = tuple(each.model_dump_json() + type(each).__name__ for each in deviations)
        known = self._known.get((written, ignored, False))
        if whole and known is not None and known.matches:
            return known  # which went on to the end
        key = (written, ignored, whole)
        if key not in self._known:
            self._known[key] = self._run(deviations, ignored, whole)
        return self._known[key]

    @cached_property
    def plain(self) -> tuple[Trace, dict[Any, Any]]:
        """The reference without deviations, to the end, and what the run kept.

        Raises:
            Exception: Whatever Keras raises.
        """
        steps = self.target.steps
        return self.bench.trace(like=steps, states=steps.states)

    def _run(self, deviations: Deviations, ignored: frozenset[str], whole: bool) -> Outcome:
        self.tried += 1
        found: list[tuple[int, list[Difference]]] = []

        def ended(step: StepTrace, place: int) -> bool:
            here = self._beyond(place, step, deviations, ignored)
            if here:
                found.append((place, here))
            return whole or not here

        try:
            self.noise(deviations)  # before another run is under way
            if deviations:
                trace, memory = self.bench.trace(
                    deviations, like=self.target.steps, states=self.target.steps.states, ended=ended
                )
            else:
                trace, memory = self.plain
                for place, step in enumerate(trace.steps):
                    if step.kind in ("training", "evaluation") and not ended(step, place):
                        break
        except Exception as error:  # whatever Keras raises on what does not fit
            first = Difference(0, 0, "training", "data", str(error)[:200], None, None, None, None, True, True)
            return Outcome(deviations, first, (first,), (-1, 0), Trace("failed"))
        # What is written between steps, when epochs end, has not been looked at.
        for number, step in enumerate(trace.steps):
            if step.step is None and (here := self._beyond(number, step, deviations, ignored)):
                found.append((number, here))
        found.sort(key=lambda each: each[0])
        if len(trace.steps) != len(self.target.records) and not found:
            both = differences(trace, self.target.steps.trace, self.target.noise)
            if both:
                found.append((min(len(trace.steps), len(self.target.records)) - 1, both[:1]))
        if not found:
            return Outcome(deviations, None, (), (10**6, 0), trace, memory, ignored)
        number, here = found[0]
        return Outcome(
            deviations, here[0], tuple(here), (number, STAGES.index(here[0].stage)), trace, memory, ignored
        )

    def noise(self, deviations: Deviations) -> Envelope:
        """The side's, and with deviations that compute in a narrower dtype what rounding there makes."""
        narrow = tuple(each for each in deviations if each.disturbed(1) != each)
        if not narrow:
            return self.target.noise
        if narrow not in self._noises:
            steps = self.target.steps
            base, *others = (
                self.bench.trace(
                    tuple(each.disturbed(seed) if seed else each for each in deviations),
                    like=steps,
                    states=steps.states,
                )[0]
                for seed in range(_DISTURBANCES + 1)
            )
            own, measured = self.target.noise, measure(base, others)
            self._noises[narrow] = {
                key: max(own.get(key, 0.0), measured.get(key, 0.0)) for key in {*own, *measured}
            }
        return self._noises[narrow]

    def _beyond(
        self, place: int, step: StepTrace, deviations: Deviations, ignored: frozenset[str]
    ) -> list[Difference]:
        """Differences of a step beyond noise that decide, or tell where one comes from; by stage."""
        if place >= len(self.target.records):
            return []
        theirs = self.target.records[place]
        if (step.kind, step.epoch) != (theirs.kind, theirs.epoch):
            return [
                Difference(
                    theirs.epoch, theirs.step, theirs.kind, "data", "number of steps", step.kind,
                    theirs.kind, None, None, True, True,
                )
            ]  # fmt: skip
        other_rows = any(isinstance(each, OtherRows) for each in deviations)
        other_labels = any(
            isinstance(each, OtherLabels | LabelsOfLoss) and each.scope in (step.kind, "both")
            for each in deviations
        )
        found = step_differences(step, theirs, self.noise(deviations))
        return [
            each
            for each in found
            if each.beyond
            and each.quantity not in ignored
            and (each.decides or each.quantity.startswith(_TELLING))
            and not (other_rows and each.quantity.startswith(("batch ", "the batch")))
            and not (other_labels and each.quantity in ("batch y", "y of the loss"))
        ]

    def smallest(self, most: int = 3, start: Deviations = ()) -> list[Outcome]:
        """The smallest sets that reproduce the side, the likeliest first; none where there is none.

        Args:
            most: Of how many deviations at most.
            start: Where to begin.
        """
        return self._from(self.outcome(start), most)

    def matching(self, deviations: Deviations) -> Outcome | None:
        """What comes of some deviations, where they reproduce the side; None where they do not."""
        here = self.outcome(deviations)
        while not here.matches and here.first is not None and not here.first.decides:
            here = self.outcome(deviations, here.ignored | here.telling)
        return here if here.matches else None

    def _from(self, here: Outcome, most: int) -> list[Outcome]:
        if here.matches:
            return [here]
        if self.is_out_of_time:
            return []
        further: list[Outcome] = []
        for rank in self._propose(self, here):
            tried: list[Outcome] = []
            for each in _unique(rank, here.deviations):
                if any(other.matches and _is_variant(other.deviations, each) for other in tried):
                    continue  # a less likely one, of which there are a hundred
                if time.process_time() > self._until:
                    self.is_out_of_time = True
                    break
                refuted = self._refuter.refute(here, each, len(self._known))
                self.tried += refuted is not None
                tried.append(refuted or self.outcome(each, here.ignored))
            further = [
                each for each in tried if each.progress > here.progress and len(each.deviations) <= most
            ]
            if further:
                break
        matched = [each for each in further if each.matches]
        if matched:
            least = min(len(each.deviations) for each in matched)
            return [each for each in matched if len(each.deviations) == least]
        further.sort(key=lambda each: (-each.progress[0], -each.progress[1], each.left, len(each.deviations)))
        for furthest in further[:3]:
            if found := self._from(furthest, most):
                return found
        first = here.first
        assert first is not None
        if not first.decides:
            # Done in another way, perhaps, and to the same end.
            return self._from(self.outcome(here.deviations, here.ignored | here.telling), most)
        return []


def _is_variant(matching: Deviations, other: Deviations) -> bool:
    """Whether two sets differ in how a metric is measured, under the same name."""
    apart = [pair for pair in zip(matching, other, strict=False) if pair[0] != pair[1]]
    return len(matching) == len(other) and all(
        isinstance(a, Measured) and isinstance(b, Measured) and a.cause == b.cause and a.metric == b.metric
        for a, b in apart
    )


def _unique(rank: Sequence[Deviations], before: Deviations) -> list[Deviations]:
    seen: list[Deviations] = []
    for each in rank:
        if each not in seen and each != before:
            seen.append(each)
    return seen
