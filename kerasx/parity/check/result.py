"""What a check hands back."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import Any

from kerasx.parity.check.idioms import Idiom
from kerasx.parity.explain.finding import Explanation
from kerasx.parity.result import html_table

_BLIND = (
    "A check cannot see what its scenarios do not wake, what happens later than the first steps of two"
    " epochs, on several devices or in XLA alone, and faults that Keras has too."
)


@dataclass(frozen=True)
class Checked:
    """One scenario.

    Attributes:
        name: Its name.
        wakes: What it is for.
        verdict: `identical`, `equivalent`, `diverged`, `expected`, `not applicable` or `failed`.
        causes: The ids of what was found, `unknown` among them.
        said: In a few words, where there is something to say.
        explanation: All of what was found; None where nothing was trained.
    """

    name: str
    wakes: str
    verdict: str
    causes: tuple[str, ...] = ()
    said: str = ""
    explanation: Explanation | None = field(default=None, repr=False)

    @property
    def passed(self) -> bool:
        """Whether there is nothing to mend."""
        return self.verdict not in ("diverged", "failed")

    def to_dict(self) -> dict[str, Any]:
        """As `kerasx check --json` prints it."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            "causes": list(self.causes),
            "wakes": self.wakes,
            "said": self.said,
            "explanation": None if self.explanation is None else self.explanation.to_dict(),
        }


@dataclass(frozen=True)
class Check:
    """Whether a step does all that `fit` does.

    Attributes:
        target: What was checked.
        kind: What that is.
        loss: With which loss, in words.
        scenarios: In the order in which they were tried.
        idioms: What of Keras 2 is in its source.
        notes: What else is to be said.
    """

    target: str
    kind: str
    loss: str
    scenarios: tuple[Checked, ...]
    idioms: tuple[Idiom, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether it does in all scenarios that apply."""
        return all(each.passed for each in self.scenarios)

    @property
    def causes(self) -> tuple[str, ...]:
        """The ids of all that was found and is not expected, each once."""
        failed = (each for each in self.scenarios if not each.passed)
        return tuple(dict.fromkeys(cause for each in failed for cause in each.causes))

    @property
    def blind(self) -> str:
        """What no check can see, in words."""
        return _BLIND

    def to_dict(self) -> dict[str, Any]:
        """As `kerasx check --json` prints it."""
        return {
            "target": self.target,
            "passed": self.passed,
            "kind": self.kind,
            "loss": self.loss,
            "scenarios": [each.to_dict() for each in self.scenarios],
            "idioms": [each.to_dict() for each in self.idioms],
            "notes": list(self.notes),
        }

    def _repr_html_(self) -> str:
        """The scenarios as a table, for notebooks."""
        rows = [(each.name, each.verdict, ", ".join(each.causes), each.said) for each in self.scenarios]
        verdict = html.escape(f"{self.target}: {'passed' if self.passed else 'failed'}")
        return f"<p>{verdict}</p>{html_table(('scenario', 'verdict', 'causes', ''), rows)}"
