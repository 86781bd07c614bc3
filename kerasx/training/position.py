"""Where training is: the epoch and the step, where it began, and who is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        can_validate_again: Whether a validation that begins after the last step could be begun again.
    """

    epoch: int = 0
    step: int = 0
    begun: bool = False
    logs: Mapping[str, Any] = field(default_factory=dict)
    is_exact: bool = False
    can_validate_again: bool = False


class Follower(Protocol):
    """Follows a training, to keep its state, say; told of each place between two steps.

    Attributes:
        position: Where training is.
    """

    position: Position

    def train_begin(self, model: keras.Model, callbacks: list[keras.callbacks.Callback]) -> None:
        """Training begins, and all callbacks have been told so."""

    def epoch_begin(self, epoch: int) -> None:
        """An epoch begins, and all callbacks have been told so."""

    def step_end(self) -> None:
        """A step was taken, within a call of many or at its end."""

    def evaluation_begin(self) -> None:
        """The validation of an epoch begins, of which callbacks have yet to be told."""

    def evaluation_step_end(self) -> None:
        """A call of validation has ended."""

    def evaluation_end(self) -> None:
        """The validation of an epoch has ended."""

    def epoch_end(self, logs: dict[str, Any]) -> None:
        """An epoch has ended, and all callbacks have been told so."""

    def train_end(self) -> None:
        """The last epoch has ended."""


class ToldLast(keras.callbacks.Callback):
    """Tells followers what all other callbacks have been told of before.

    Args:
        followers: Told, in their order.
        position: Of the task.
        callbacks: All callbacks, itself among them.
    """

    def __init__(
        self, followers: Sequence[Follower], position: Position, callbacks: list[keras.callbacks.Callback]
    ) -> None:
        super().__init__()
        self._followers = followers
        self._position = position
        self._callbacks = callbacks

    def on_train_begin(self, logs: Any = None) -> None:
        """Training begins."""
        for each in self._followers:
            each.train_begin(self.model, [other for other in self._callbacks if other is not self])

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """An epoch begins."""
        for each in self._followers:
            each.epoch_begin(epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """An epoch has ended, and so the position is the beginning of the next."""
        position = self._position
        # Keras begins a call to find the end of a pipeline that does not tell its length.
        position.epoch, position.step, position.begun, position.logs = epoch + 1, 0, False, {}
        for each in self._followers:
            each.epoch_end(logs or {})

    def on_train_end(self, logs: Any = None) -> None:
        """Training ends."""
        for each in self._followers:
            each.train_end()
