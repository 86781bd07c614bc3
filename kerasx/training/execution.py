"""How a step is executed: eagerly, as one TensorFlow function call, or many steps a call."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

# Calls an epoch, so that callbacks hear of it, and steps a call at the least, so that calling costs little.
CALLS_AN_EPOCH = 10
LEAST_STEPS = 64


@dataclass(frozen=True)
class Execution:
    """The execution of a run, settled.

    Attributes:
        mode: `eager`, `graph` or `fused`.
        jit: Whether XLA compiles the step.
        steps_per_call: Steps between two batch events of callbacks: of `fused`, and of a model that brings
            `steps_per_execution` in Keras's own functions.
    """

    mode: str
    jit: bool
    steps_per_call: int = 1

    @property
    def eager(self) -> bool:
        """Whether steps run operation by operation."""
        return self.mode == "eager"

    @property
    def fused(self) -> bool:
        """Whether a call takes many steps."""
        return self.mode == "fused"

    @property
    def described(self) -> str:
        """In words, for messages."""
        return f"{self.mode} with jit" if self.jit else self.mode


class CannotExecute(Exception):
    """A step cannot be executed in the way that was chosen, which was found out before it was called.

    Args:
        lacks: What it cannot be: compiled (`jit`), taken many at a time (`fused`), or traced (`graph`).
        why: In a few words.
    """

    def __init__(self, lacks: Literal["jit", "fused", "graph"], why: str) -> None:
        super().__init__(why)
        self.lacks = lacks
        self.why = why


def default_steps_per_call(steps: int | None) -> int:
    """Steps a call, for an epoch of so many; None where a pipeline does not tell."""
    return max(LEAST_STEPS, math.ceil((steps or 0) / CALLS_AN_EPOCH))
