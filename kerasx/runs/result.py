"""What training hands back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kerasx.experiment import Experiment


@dataclass(frozen=True)
class Run:
    """One execution of an experiment that ended well.

    Attributes:
        directory: Where it is kept.
        experiment: With everything filled in that was left open.
        model: The trained `keras.Model`.
        history: Values by name, epoch by epoch.
        evaluation: Results on the validation rows with the final weights; empty without such rows.
        execution: `eager`, `graph` or `fused`.
        jit: Whether XLA compiled the step.
        seconds: Wall time of training with its validations, compilation included; also that before the run
            was gone on with.
        compile_seconds: What of it was spent on tracing and compiling before the first step; 0 where the
            first step compiles.
        steps: Training steps taken.
        weights_digest: As `kerasx.weights_digest`.
        notes: What was chosen and why.
    """

    directory: Path
    experiment: Experiment
    model: Any = field(repr=False)
    history: dict[str, list[float]]
    evaluation: dict[str, Any]
    execution: str
    jit: bool
    seconds: float
    steps: int
    weights_digest: str
    compile_seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def steps_per_second(self) -> float:
        """Training steps by wall time, validations and compilation included."""
        return self.steps / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The run as `kerasx train --json` prints it."""
        return {
            "run": str(self.directory),
            "strategy": self.experiment.strategy.described,
            "execution": self.execution,
            "jit": self.jit,
            "history": self.history,
            "evaluation": self.evaluation,
            "seconds": round(self.seconds, 3),
            "steps_per_second": round(self.steps_per_second, 1),
            "weights_digest": self.weights_digest,
        }


@dataclass(frozen=True)
class DryRun:
    """What a run would have been, and how its first batch went.

    Attributes:
        experiment: With everything filled in that was left open.
        model_summary: Keras's summary.
        answers: For each component: kind, name, who answered, and its options.
        notes: What was chosen and why.
        logs: Of the one batch trained and the one validated.
    """

    experiment: Experiment
    model_summary: str
    answers: list[dict[str, Any]]
    notes: tuple[str, ...]
    logs: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The dry run as `kerasx train --dry-run --json` prints it."""
        return {
            "experiment": self.experiment.to_plain(),
            "model_summary": self.model_summary,
            "answers": self.answers,
            "notes": list(self.notes),
            "logs": self.logs,
        }
