"""What a deviation is: a small named change to the reference step, in one place of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import keras
from pydantic import BaseModel, ConfigDict

from kerasx.parity.reference.objective import Term

# Where a run keeps the kind of the step that it is in, for what is asked between steps.
KIND = "kind"

Scope = Literal["training", "evaluation", "both"]
Apply = Callable[[Any, Sequence[Any], Sequence[Any]], None]
Track = Callable[[Any], None]


@dataclass
class At:
    """Where a run of the reference is.

    Attributes:
        model: What is trained.
        kind: `training` or `evaluation`.
        epoch: Counted from 0.
        index: The place of the step in the trace, where evaluation steps and ends of epochs have theirs.
        batch: What the step is handed: `(x, y, sample_weight)`, the latter two perhaps None.
        memory: What deviations keep from one step to the next, by whatever key they choose.
    """

    model: keras.Model
    kind: str = "training"
    epoch: int = 0
    index: int = -1
    batch: tuple[Any, ...] = ()
    memory: dict[Any, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many rows the batch has."""
        return int(next(leaf for leaf in keras.tree.flatten(self.batch[0]) if leaf is not None).shape[0])

    def forward(self, training: bool | None) -> Any:
        """A forward pass with the batch's inputs; None passes no flag."""
        x = self.batch[0]
        return self.model(x) if training is None else self.model(x, training=training)


class Deviation(BaseModel):
    """One cause as a change to the reference step; by itself it changes nothing.

    Each method is called at one place of the step with what Keras does there, and answers with what is done
    instead. Fields are the cause's parameters, and what a finding is written down by.

    Attributes:
        scope: Which steps it changes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cause: ClassVar[str]
    stage: ClassVar[str]

    scope: Scope = "training"

    def applies(self, at: At) -> bool:
        """Whether it changes steps of this kind."""
        return self.scope in (at.kind, "both")

    def is_on(self, memory: dict[Any, Any]) -> bool:
        """Whether the run is, or was last, in a step that it changes."""
        return self.scope in (memory.get(KIND, "training"), "both")

    def is_rehearsed(self, at: At) -> bool:
        """Whether in the epoch where a run is it only makes something else of losses and outputs that are
        there."""
        return False

    def disturbed(self, seed: int) -> Self:
        """The same with what it computes in a narrower dtype disturbed, by which its noise is measured."""
        return self

    # --- Around epochs ----------------------------------------------------------------------------------

    def begins(self, at: At) -> None:
        """Before the first step."""

    def resets(self, metric: Any, at: At) -> bool:
        """Whether a metric is reset as an epoch begins."""
        return True

    def epoch_logs(self, logs: dict[str, Any], at: At) -> dict[str, Any]:
        """What an epoch reports."""
        return logs

    def finalizes(self, at: At) -> bool:
        """Whether averaged weights are copied in at the end."""
        return True

    # --- Within a step ----------------------------------------------------------------------------------

    def trains(self, at: At) -> bool:
        """Whether the batch is used at all."""
        return True

    def before(self, at: At) -> None:
        """Before anything else in the step."""

    def flag(self, training: bool | None, at: At) -> bool | None:
        """The flag of the forward pass; None for none."""
        return training

    def terms(self, terms: list[Term], at: At) -> list[Term]:
        """What the loss is made of."""
        return terms

    def extras(self, times: float, at: At) -> float:
        """How many times losses that layers added are in the loss."""
        return times

    def loss(self, loss: Any, at: At) -> Any:
        """The whole of the loss."""
        return loss

    def scales(self, at: At) -> bool:
        """Whether the optimizer scales the loss."""
        return True

    def sources(self, variables: list[Any], at: At) -> list[Any]:
        """What is trained."""
        return variables

    def gradients(self, gradients: list[Any], variables: list[Any], at: At) -> list[Any]:
        """What the optimizer receives."""
        return gradients

    def apply(self, apply: Apply, at: At) -> Apply:
        """How gradients are applied."""
        return apply

    def after(self, at: At) -> None:
        """After the update."""

    def outputs(self, y_pred: Any, at: At) -> Any:
        """What metrics are given as outputs."""
        return y_pred

    def track(self, track: Track, at: At) -> Track:
        """How the loss is added to what is reported."""
        return track

    def logs(self, logs: dict[str, Any], at: At) -> dict[str, Any]:
        """What the step returns."""
        return logs
