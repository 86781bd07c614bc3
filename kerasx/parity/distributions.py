"""Results of trainings from several seeds, as distributions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# The 97.5 % quantiles of Student's t by degrees of freedom, from 1: NIST/SEMATECH e-Handbook of Statistical
# Methods, section 1.3.6.7.2. Of more the last one is taken, which is a little too large for them.
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


@dataclass(frozen=True)
class Distribution:
    """One result of one side from several seeds.

    Attributes:
        name: Of the side.
        quantity: Of the result, as in an evaluation.
        values: In the order of seeds.
    """

    name: str
    quantity: str
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean of all seeds."""
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float:
        """The standard deviation, as of a sample; 0 of one seed."""
        return statistics.stdev(self.values) if len(self.values) > 1 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As `kerasx compare --json` prints it."""
        return {
            "name": self.name,
            "quantity": self.quantity,
            "values": list(self.values),
            "mean": self.mean,
            "spread": self.spread,
            "range": [min(self.values), max(self.values)],
        }


@dataclass(frozen=True)
class Contrast:
    """How one result of two sides differs, seed by seed.

    Attributes:
        a: The name of one side.
        b: That of the other.
        quantity: Of the result.
        differences: a's result less b's, in the order of seeds.
    """

    a: str
    b: str
    quantity: str
    differences: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean difference."""
        return statistics.fmean(self.differences)

    @property
    def error(self) -> float | None:
        """The standard error of the mean; None of one seed."""
        if len(self.differences) < 2:
            return None
        return statistics.stdev(self.differences) / math.sqrt(len(self.differences))

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the mean difference of all seeds lies, with a confidence of 95 %, if differences are normally
        distributed (Student's t, as both sides have each seed); None of one seed."""
        if self.error is None:
            return None
        reach = _T[min(len(self.differences) - 1, len(_T)) - 1] * self.error
        return self.mean - reach, self.mean + reach

    @property
    def said(self) -> str:
        """The difference in words, which never make equal what is only not told apart."""
        text = f"{self.quantity} of {self.a} less that of {self.b}: {self.mean:+.4g}"
        if self.error is None or self.interval is None:
            return f"{text}, from one seed, which says nothing of others."
        text += f" ± {self.error:.2g} (mean and its standard error of {len(self.differences)} seeds)"
        if not any(self.differences):
            return f"{text}, the same for every seed."
        low, high = self.interval
        text += f"; of all seeds between {low:+.4g} and {high:+.4g}, with a confidence of 95 %"
        if low > 0 or high < 0:
            return f"{text}: they differ."
        return f"{text}: these seeds do not tell the two apart, which does not make them the same."

    def to_dict(self) -> dict[str, Any]:
        """As `kerasx compare --json` prints it."""
        return {
            "a": self.a,
            "b": self.b,
            "quantity": self.quantity,
            "differences": list(self.differences),
            "mean": self.mean,
            "error": self.error,
            "interval": None if self.interval is None else list(self.interval),
        }


def distributions(names: Sequence[str], samples: Sequence[Sequence[Mapping[str, Any]]]) -> list[Distribution]:
    """The distribution of each result of each side.

    Args:
        names: Of the sides.
        samples: For each seed the evaluations of all sides.
    """
    return [
        Distribution(name, quantity, tuple(float(evaluations[number][quantity]) for evaluations in samples))
        for number, name in enumerate(names)
        for quantity in (samples[0][number] if samples else ())
        if all(isinstance(evaluations[number].get(quantity), int | float) for evaluations in samples)
    ]


def contrasts(found: Sequence[Distribution]) -> list[Contrast]:
    """The differences of all pairs of sides in each result that both have."""
    return [
        Contrast(a.name, b.name, a.quantity, tuple(x - y for x, y in zip(a.values, b.values, strict=True)))
        for number, a in enumerate(found)
        for b in found[number + 1 :]
        if a.quantity == b.quantity
    ]
