"""Watches that losses and weights are finite numbers, within the call that makes them something else."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import keras

from kerasx.errors import NonFiniteError
from kerasx.training.position import Position
from kerasx.training.steps import loss_tracker

# Of training's time, what looking at weights between two calls may take.
_SHARE = 0.01
ADVICE = " A smaller learning rate is the usual way out."


class FiniteWatch:
    """Looks at the loss after each call, and at weights as often as it takes little time.

    What is not finite in one step is not finite in the next: weights that are make the next loss so.

    Attributes:
        position: Where training is.
        finite: The last place, epoch and step, at which all was finite.
    """

    def __init__(self) -> None:
        self.position = Position()
        self.finite = (0, 0)
        self._model: Any = None
        self._tracker: Any = None
        self._looked = 0.0
        self._cost = 0.0

    def train_begin(self, model: keras.Model, callbacks: list[keras.callbacks.Callback]) -> None:
        """Know the model."""
        self._model, self._tracker = model, loss_tracker(model)

    def epoch_begin(self, epoch: int) -> None:
        """Begin an epoch."""
        self.finite = (epoch, self.position.step)

    def step_end(self) -> None:
        """Look at the loss so far, and at weights from time to time.

        Raises:
            NonFiniteError: One of them is infinite or not a number.
        """
        if (said := _non_finite_loss(self._tracker, self.position.logs)) is not None:
            self._fail(said)
        now = time.perf_counter()
        if now - self._looked > self._cost / _SHARE:
            if (said := _non_finite_weight(self._model)) is not None:
                self._fail(said)
            self._looked = time.perf_counter()
            self._cost = self._looked - now
            self.finite = (self.position.epoch, self.position.step)

    def epoch_end(self, logs: dict[str, Any]) -> None:
        """Look at the losses of the epoch and at the model's variables.

        Raises:
            NonFiniteError: One of them is infinite or not a number.
        """
        for name in ("loss", "val_loss"):
            value = logs.get(name)
            if isinstance(value, float) and not math.isfinite(value):
                self._fail(f"`{name}` is {value}")
        if (said := _non_finite_weight(self._model)) is not None:
            self._fail(said)
        self.finite = (self.position.epoch, self.position.step)

    def train_end(self) -> None:
        """Nothing is left to look at."""

    def _fail(self, what: str) -> None:
        epoch, step = self.position.epoch, self.position.step
        where = f"after step {step} of epoch {epoch + 1}" if step else f"after epoch {epoch}"
        raise NonFiniteError(f"Training became non-finite: {what} {where}.{ADVICE}")


def first_non_finite(model: keras.Model) -> str | None:
    """What of the loss so far and of the weights is not finite, in words; None where all is."""
    return _non_finite_loss(loss_tracker(model), {}) or _non_finite_weight(model)


def _non_finite_loss(tracker: Any, logs: Mapping[str, Any]) -> str | None:
    """Of the sum of the epoch's losses, or of what the step returned as its loss."""
    value = 0.0 if tracker is None else float(tracker.total.numpy())
    if not value and (returned := logs.get("loss")) is not None and keras.ops.size(returned) == 1:
        value = float(keras.ops.convert_to_numpy(returned).reshape(()))
    return None if math.isfinite(value) else f"the loss is {value}"


def _non_finite_weight(model: keras.Model) -> str | None:
    for variable in model.variables:
        if not bool(keras.ops.all(keras.ops.isfinite(variable))):
            return f"`{variable.path}` holds values that are not finite"
    return None
