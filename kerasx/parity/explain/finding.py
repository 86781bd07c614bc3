"""What an explanation hands back."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import Any

from kerasx.parity.judge import Difference
from kerasx.parity.result import html_table
from kerasx.plain import shown_value

# How it begins, where the reference does not equal `fit`.
BEWARE = "Beware:"


@dataclass(frozen=True)
class Evidence:
    """What one stage shows.

    Attributes:
        stage: Which.
        quantity: What is compared there.
        keras: Its value with Keras's semantics.
        side: Its value in the side that is explained.
        with_cause: The largest difference that is left once the causes are in the reference, as a share of
            the largest value; 0 where the bits are the same.
        noise: What noise makes, in the same share.
    """

    stage: str
    quantity: str
    keras: Any
    side: Any
    relative: float | None
    with_cause: float | None
    noise: float | None

    def to_dict(self) -> dict[str, Any]:
        """As `kerasx explain --json` prints it."""
        return dict(vars(self))


@dataclass(frozen=True)
class Finding:
    """One cause, with what proves it.

    Attributes:
        cause: Its id in the catalogue.
        stage: The first stage at which it shows.
        side: The name of the side that has it.
        sentence: What the side does, with numbers.
        affects: `training` or `report`.
        factor: A ratio, divisor or times, where the cause has one.
        fix: What to change.
        code: A line of the change.
        consequences: What will and will not change with it.
        deviations: The changes to the reference that reproduce the side, with their parameters.
        sufficient: Whether with all causes the reference reproduces the side at every stage.
        necessary: What is different again without this one.
        rivals: Other causes that were put in its place, with what they left different.
        evidence: Stage by stage.
    """

    cause: str
    stage: str
    side: str
    sentence: str
    affects: str
    factor: float | None
    fix: str
    code: str
    consequences: str
    deviations: tuple[dict[str, Any], ...] = field(repr=False)
    sufficient: bool
    necessary: str | None
    rivals: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    evidence: tuple[Evidence, ...] = field(default=(), repr=False)

    @property
    def verified(self) -> bool:
        """Whether it is sufficient with the others, and necessary."""
        return self.sufficient and self.necessary is not None

    def to_dict(self) -> dict[str, Any]:
        """As `kerasx explain --json` prints it."""
        return {
            "cause": self.cause,
            "stage": self.stage,
            "side": self.side,
            "said": self.sentence,
            "affects": self.affects,
            "factor": self.factor,
            "evidence": [each.to_dict() for each in self.evidence],
            "fix": self.fix,
            "code": self.code,
            "consequences": self.consequences,
            "deviations": list(self.deviations),
            "necessary": self.necessary,
            "rivals": [{"cause": cause, "left": left} for cause, left in self.rivals],
            "verified": self.verified,
        }


@dataclass(frozen=True)
class Explanation:
    """Why two trainings differ, or that nothing of what is known explains it.

    Attributes:
        a: The name of one side, or `Keras` where there is one name alone.
        b: That of the other.
        verdict: `identical`, `equivalent` or `diverged`, of the first steps.
        affects: `training` or `report`; None where they agree.
        findings: The causes, those of one smallest set.
        alternatives: Other sets of as many causes that explain it as well.
        unexplained: Whether something is left that no cause explains.
        first_difference: Where they part; None where they agree.
        reference: Whether the reference equals `fit` on the installed Keras, in words.
        apart: What would tell alternatives apart.
        notes: What could not be done, and why.
    """

    a: str
    b: str
    verdict: str
    affects: str | None
    findings: tuple[Finding, ...] = ()
    alternatives: tuple[tuple[Finding, ...], ...] = ()
    unexplained: bool = False
    first_difference: Difference | None = None
    reference: str = ""
    apart: str = ""
    notes: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether there is nothing to explain."""
        return self.verdict != "diverged"

    @property
    def is_doubtful(self) -> bool:
        """Whether the reference does not equal `fit` on the installed Keras, which is said first."""
        return self.reference.startswith(BEWARE)

    @property
    def causes(self) -> tuple[str, ...]:
        """The ids of the causes that were found."""
        return tuple(each.cause for each in self.findings)

    @property
    def unknown(self) -> str:
        """What is left unexplained, in words; nothing where all is explained."""
        first = self.first_difference
        if not self.unexplained or first is None:
            return ""
        step = "" if first.step is None else f", step {first.step}"
        return (
            f"unknown: no cause of the catalogue, alone or with others, does what {self.b} does. They part"
            f" at stage {first.stage}, epoch {first.epoch}{step}: {first.quantity} is"
            f" {shown_value(first.a)} with Keras and {shown_value(first.b)} there{_by_what(first)}."
        )

    @property
    def text(self) -> str:
        """The explanation for people, in plain lines."""
        affects = {"report": ", in the report only", "training": ", in the training"}.get(
            self.affects or "", ""
        )
        lines = [self.reference] if self.is_doubtful else []
        lines.append(f"{self.a} and {self.b}: {self.verdict}{affects}")
        for each in self.findings:
            lines += ["", f"{each.sentence}  [{each.cause}]"]
            lines += [
                f"  {row.stage}: {row.quantity} is {shown_value(row.keras)} with Keras,"
                f" {shown_value(row.side)} here"
                for row in each.evidence
            ]
            lines += [f"Change: {each.fix}", *([f"    {each.code}"] if each.code else [])]
            lines += [each.consequences]
        return "\n".join([*lines, *filter(None, (self.unknown, self.apart)), *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """The explanation as `kerasx explain --json` prints it."""
        findings = [each.to_dict() for each in self.findings]
        first = self.first_difference
        if self.unexplained:
            findings.append(
                {
                    "cause": "unknown",
                    "stage": None if first is None else first.stage,
                    "evidence": [] if first is None else [first.to_dict()],
                    "factor": None,
                    "fix": "",
                    "verified": False,
                }
            )
        return {
            "a": self.a,
            "b": self.b,
            "verdict": self.verdict,
            "affects": self.affects,
            "findings": findings,
            "alternatives": [[each.to_dict() for each in found] for found in self.alternatives],
            "unexplained": self.unexplained,
            "first_difference": None if first is None else first.to_dict(),
            "reference": self.reference,
            "apart": self.apart,
            "notes": list(self.notes),
        }

    def _repr_html_(self) -> str:
        """The findings as a table, for notebooks."""
        heads = ("cause", "stage", "affects", "what", "fix", "code")
        rows = [
            (each.cause, each.stage, each.affects, each.sentence, each.fix, each.code)
            for each in self.findings
        ]
        unknown = "<p>Something is left that no known cause explains.</p>" if self.unexplained else ""
        verdict = html.escape(f"{self.a} and {self.b}: {self.verdict}")
        return f"<p>{verdict}</p>{html_table(heads, rows)}{unknown}"


def _by_what(difference: Difference) -> str:
    """By which one factor a side's values are larger or smaller; nothing where it is not one."""
    ratio = difference.ratio
    if not ratio or abs(ratio - 1.0) <= 1e-3:
        return ""
    return f", {1 / ratio:.3f} times larger" if abs(ratio) < 1 else f", {ratio:.3f} times smaller"
