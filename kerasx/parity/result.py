"""What a comparison hands back."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kerasx.experiment import Experiment
from kerasx.parity.distributions import Distribution, contrasts
from kerasx.parity.judge import Difference


@dataclass(frozen=True)
class Side:
    """One of what is compared, and how its training to the end went.

    Attributes:
        name: As it was named.
        experiment: What was trained.
        execution: `eager`, `graph` or `fused`.
        jit: Whether XLA compiled the step.
        history: Values by name, epoch by epoch.
        evaluation: Results on the validation rows with the final weights.
        seconds: Wall time of the training.
        steps: Training steps taken.
        weights_digest: As `kerasx.weights_digest`; None of a trace.
        state_digest: SHA-256 over the optimizer's variables.
        data_digest: SHA-256 over the data; None where that is not known, as of a pipeline.
        notes: What was chosen and why.
        changed: The files of a run's code that were trained with, and are not what the run had.
    """

    name: str
    experiment: Experiment = field(repr=False)
    execution: str
    jit: bool
    history: dict[str, list[Any]]
    evaluation: dict[str, Any]
    seconds: float
    steps: int
    weights_digest: str | None = None
    state_digest: str | None = None
    data_digest: str | None = None
    notes: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    @property
    def steps_per_second(self) -> float:
        """Training steps by wall time, validations and compilation included."""
        return self.steps / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The side as `kerasx compare --json` prints it."""
        return {
            "name": self.name,
            "execution": self.execution,
            "jit": self.jit,
            "history": self.history,
            "evaluation": self.evaluation,
            "seconds": round(self.seconds, 3),
            "steps_per_second": round(self.steps_per_second, 1),
            "weights_digest": self.weights_digest,
        }


@dataclass(frozen=True)
class Pair:
    """The verdict on two sides.

    Attributes:
        a: The name of one.
        b: That of the other.
        verdict: `identical` (the same bits), `equivalent` (within the noise that was measured) or `diverged`.
        affects: `training`, or `report` where the training is the same and only what is reported differs;
            None where they agree.
        first_difference: The first quantity that differs beyond noise; of sides that agree the one that
            comes nearest to it, or None where not even the bits differ.
        differences: All of that step, or of all steps where the sides agree.
        said: The verdict in a sentence or two.
    """

    a: str
    b: str
    verdict: str
    affects: str | None = None
    first_difference: Difference | None = None
    differences: tuple[Difference, ...] = field(default=(), repr=False)
    said: str = ""

    @property
    def agrees(self) -> bool:
        """Whether it is not diverged."""
        return self.verdict != "diverged"

    def to_dict(self) -> dict[str, Any]:
        """The pair as `kerasx compare --json` prints it."""
        first = self.first_difference
        return {
            "a": self.a,
            "b": self.b,
            "verdict": self.verdict,
            "affects": self.affects,
            "first_difference": None if first is None or self.agrees else first.to_dict(),
            "differences": [each.to_dict() for each in self.differences if each.beyond],
            "said": self.said,
        }


@dataclass(frozen=True)
class Comparison:
    """What came of comparing trainings.

    Attributes:
        sides: What was compared, in the order of its naming.
        pairs: The verdicts, on each side with each after it.
        notes: What could not be done, and why.
        distributions: Of results from several seeds; empty where none were asked for.
    """

    sides: tuple[Side, ...]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...] = ()
    distributions: tuple[Distribution, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether no pair is diverged."""
        return all(pair.agrees for pair in self.pairs)

    def to_dict(self) -> dict[str, Any]:
        """The comparison as `kerasx compare --json` prints it."""
        return {
            "strategies": [side.to_dict() for side in self.sides],
            "pairs": [pair.to_dict() for pair in self.pairs],
            "notes": list(self.notes),
            "seeds": [each.to_dict() for each in self.distributions],
            "contrasts": [each.to_dict() for each in contrasts(self.distributions)],
        }

    def _repr_html_(self) -> str:
        """Results, verdicts with their evidence, seeds and notes as tables, for notebooks."""
        from kerasx.parity.shown import as_html

        return as_html(self)


def html_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as HTML, with what is in it as text."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

    return "<table>" + line(heads, "th") + "".join(line(row, "td") for row in rows) + "</table>"
