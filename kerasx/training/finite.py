"""Watches that losses and weights are finite numbers, within the call that makes them something else."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from kerasx.errors import NonFiniteError
from kerasx.training.distribution import is_distributed
from kerasx.training.position import Position
from kerasx.training.steps import loss_tracker

# Of training's time, what looking at weights between two calls may take.
_SHARE = 0.01
# Changes of the learning rate that are remembered, the newest.
_RATES = 100_000
ADVICE = " A smaller learning rate is the usual way out."


class FiniteWatch:
    """Looks at the loss after each call, and at weights after each one of many steps.

    After calls of one step, it looks at weights as often as it takes little time. What is not finite in one
    step is not finite in the next: weights that are make the next loss so.

    Args:
        each_call: Whether to look at weights after each call.

    Attributes:
        position: Where training is.
        finite: The last place, epoch and step, at which all was finite.
        is_of_validation: Whether what was found is the loss of validation alone.
    """

    def __init__(self, *, each_call: bool) -> None:
        self.position = Position()
        self.finite = (0, 0)
        self.is_of_validation = False
        self._each_call = each_call
        self._tracker: Any = None
        self._model: Any = None
        self._weights: _Weights | None = None
        self._looked = 0.0
        self._cost = 0.0

    def train_begin(self, model: keras.Model, callbacks: list[keras.callbacks.Callback]) -> None:
        """Know the model."""
        self._model, self._tracker = model, loss_tracker(model)

    def epoch_begin(self, epoch: int) -> None:
        """Begin an epoch; with the first one, know which weights are not finite before any step."""
        if self._weights is None:
            self._weights = _Weights(self._model)
        self.finite = (epoch, self.position.step)

    def step_end(self) -> None:
        """Look at the loss so far, and at weights from time to time.

        Raises:
            NonFiniteError: One of them is infinite or not a number.
        """
        if (said := _non_finite_loss(self._tracker, self.position.logs)) is not None:
            self._fail(said)
        is_told_now = self._each_call and not self.position.begun
        if is_told_now or time.perf_counter() - self._looked > self._cost / _SHARE:
            self._look_at_weights()
            self.finite = (self.position.epoch, self.position.step)

    def epoch_end(self, logs: dict[str, Any]) -> None:
        """Look at the losses of the epoch and at the model's variables.

        Raises:
            NonFiniteError: One of them is infinite or not a number.
        """
        self._look_at_loss("loss", logs)
        self._look_at_weights()
        self.is_of_validation = True
        self._look_at_loss("val_loss", logs)
        self.is_of_validation = False
        self.finite = (self.position.epoch, self.position.step)

    def evaluation_begin(self) -> None:
        """Validation changes no weights."""

    def evaluation_step_end(self) -> None:
        """Its loss is looked at when the epoch has ended."""

    def evaluation_end(self) -> None:
        """As above."""

    def train_end(self) -> None:
        """Nothing is left to look at."""

    def first_non_finite(self) -> str | None:
        """What of the loss so far and of the weights is not finite, in words; None where all is."""
        return _non_finite_loss(loss_tracker(self._model), {}) or self._non_finite_weight()

    def _non_finite_weight(self) -> str | None:
        return None if self._weights is None else self._weights.first_non_finite()

    def _look_at_weights(self) -> None:
        if self._weights is not None:
            self._weights.prepare()
        started = time.perf_counter()
        if (said := self._non_finite_weight()) is not None:
            self._fail(said)
        self._looked = time.perf_counter()
        self._cost = self._looked - started

    def _look_at_loss(self, name: str, logs: Mapping[str, Any]) -> None:
        value = logs.get(name)
        if isinstance(value, float) and not math.isfinite(value):
            self._fail(f"`{name}` is {value}")

    def _fail(self, what: str) -> None:
        epoch, step = self.position.epoch, self.position.step
        where = f"after step {step} of epoch {epoch + 1}" if step else f"after epoch {epoch}"
        raise NonFiniteError(f"Training became non-finite: {what} {where}.{ADVICE}")


class _Weights:
    """A model's variables, looked at all at once.

    Values that are not finite before the first step, as of a mask, are meant to be so.

    Args:
        model: As it is before the first step.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._meant = {
            id(each): tf.logical_not(finite)
            for each in model.variables
            if not bool(keras.ops.all(finite := keras.ops.isfinite(each)))
        }
        self._looked_at: list[int] = []
        self._are_finite: Callable[[], Any] = lambda: True
        self.prepare()

    def prepare(self) -> None:
        """Trace the look at the variables that there are, which takes far longer than the look."""
        variables = list(self._model.variables)
        if [id(each) for each in variables] == self._looked_at:
            return
        self._looked_at = [id(each) for each in variables]

        def are_finite() -> Any:
            return tf.reduce_all(tf.stack([True, *map(self._is_finite, variables)]))

        if is_distributed(self._model):  # of replicas, what can be read is read outside of functions
            self._are_finite = are_finite
        else:
            # Traced here: TensorFlow would warn of functions that are called first in each of many trainings.
            self._are_finite = tf.function(are_finite, autograph=False).get_concrete_function()
        self._are_finite()

    def first_non_finite(self) -> str | None:
        """The first variable that is not finite, in words; None where all are."""
        self.prepare()
        if bool(self._are_finite()):
            return None
        for each in self._model.variables:
            if not bool(self._is_finite(each)):
                return f"`{each.path}` holds values that are not finite"
        return None

    def _is_finite(self, variable: Any) -> Any:
        finite = keras.ops.isfinite(variable)
        meant = self._meant.get(id(variable))
        return keras.ops.all(finite if meant is None else tf.logical_or(finite, meant))


class Rates(keras.callbacks.Callback):
    """Remembers the learning rates that callbacks have set, to set them once more.

    It stands after them, and is told of calls when they have set what they set.
    """

    async_safe = True

    def __init__(self) -> None:
        super().__init__()
        self._epoch = 0
        self._rates: dict[tuple[int, int], Any] = {}
        self._last: Any = None

    def get_state(self) -> None:
        """Nothing is kept: the rate is a variable of the optimizer."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Know the epoch."""
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Note the rate of the call, where it is another one than before."""
        if (variable := self._variable()) is None:
            return
        rate = keras.ops.convert_to_numpy(variable)
        if self._last is None or rate != self._last:
            self._last = self._rates[self._epoch, batch] = rate
            if len(self._rates) > _RATES:
                del self._rates[next(iter(self._rates))]

    def set_again(self, epoch: int, first: int) -> None:
        """Set the rate that a call had; `first` is the number of its first batch."""
        rate = self._rates.get((epoch, first))
        if rate is not None and (variable := self._variable()) is not None:
            variable.assign(rate)

    def _variable(self) -> Any:
        """Where the optimizer has its rate; None where that is a schedule."""
        optimizer = self.model.optimizer
        variables = [] if optimizer is None else optimizer.variables
        return next((each for each in variables if each.name == "learning_rate"), None)


def _non_finite_loss(tracker: Any, logs: Mapping[str, Any]) -> str | None:
    """Of the sum of the epoch's losses, or of what the step returned as its loss."""
    value = 0.0 if tracker is None else float(tracker.total.numpy())
    if not value and (returned := logs.get("loss")) is not None and keras.ops.size(returned) == 1:
        value = float(keras.ops.convert_to_numpy(returned).reshape(()))
    return None if math.isfinite(value) else f"the loss is {value}"
