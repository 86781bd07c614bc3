"""Where training is: the epoch and the step, where it began, and who is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import keras


@dataclass(frozen=True)
class Start:
    """Where training begins; elsewhere than at the beginning where a run is gone on with.

    Attributes:
        epoch: Counted from 0.
        step: How many steps of this epoch were taken before.
        begun: Whether callbacks were told of the beginning of the call of many steps that it is within.
        logs: What the step before returned.
    """

    epoch: int = 0
    step: int = 0
    begun: bool = False
    logs: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Position:
    """Where training is between two steps.

    Attributes:
        epoch: The epoch of the next step, counted from 0.
        step: How many steps of this epoch were taken.
        begun: As of `Start`.
        logs: What the last step returned.
        is_exact: Whether the strategy can begin within an epoch.
    """

    epoch: int = 0
    step: int = 0
    begun: bool = False
    logs: Mapping[str, Any] = field(default_factory=dict)
    is_exact: bool = False


class Keeper(Protocol):
    """Keeps the state of a training, and brings it back; told of each place at which it can be kept."""

    def train_begin(self, model: keras.Model, callbacks: list[keras.callbacks.Callback]) -> None:
        """Training begins, and all callbacks have been told so."""

    def epoch_begin(self, epoch: int) -> None:
        """An epoch begins, and all callbacks have been told so."""

    def step_end(self) -> None:
        """A step was taken, within a call of many or at its end."""

    def epoch_end(self) -> None:
        """An epoch has ended, and all callbacks have been told so."""

    def train_end(self) -> None:
        """The last epoch has ended."""


class ToldLast(keras.callbacks.Callback):
    """Tells a keeper what all other callbacks have been told of before.

    Args:
        keeper: Told.
        position: Of the task.
        callbacks: All callbacks, itself among them.
    """

    def __init__(self, keeper: Keeper, position: Position, callbacks: list[keras.callbacks.Callback]) -> None:
        super().__init__()
        self._keeper = keeper
        self._position = position
        self._callbacks = callbacks

    def on_train_begin(self, logs: Any = None) -> None:
        """Bring back the state that the run had."""
        self._keeper.train_begin(self.model, [each for each in self._callbacks if each is not self])

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Once more, where it is one from within the epoch."""
        self._keeper.epoch_begin(epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the state."""
        self._position.epoch, self._position.step, self._position.logs = epoch + 1, 0, {}
        self._keeper.epoch_end()

    def on_train_end(self, logs: Any = None) -> None:
        """Nothing more is to be kept."""
        self._keeper.train_end()
