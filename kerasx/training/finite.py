"""Watches that losses and weights are finite numbers, within the call that makes them something else."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from kerasx.errors import NonFiniteError
from kerasx.training.position import Position
from kerasx.training.steps import loss_tracker

# Of training's time, what seeing between two calls whether there are other variables may take.
_SHARE = 0.01
# Changes of the learning rate that are remembered, the newest.
_RATES = 100_000
ADVICE = " A smaller learning rate is the usual way out."


class FiniteWatch:
    """Looks at the loss and at all weights after each call, be it of one step or of many.

    Attributes:
        position: Where training is.
        finite: The last place, epoch and step, at which all was finite.
        is_of_validation: Whether what was found is the loss of validation alone.
    """

    def __init__(self) -> None:
        self.position = Position()
        self.finite = (0, 0)
        self.is_of_validation = False
        self._model: Any = None
        self._state: _State | None = None
        self._listed = 0.0
        self._cost = 0.0

    def train_begin(self, model: keras.Model, callbacks: list[keras.callbacks.Callback]) -> None:
        """Know the model."""
        self._model = model

    def epoch_begin(self, epoch: int) -> None:
        """Begin an epoch; with the first one, know which weights are not finite before any step."""
        if self._state is None:
            self._state = _State(self._model)
        self.finite = (epoch, self.position.step)

    def step_end(self) -> None:
        """Look at the loss so far and at all weights.

        Raises:
            NonFiniteError: One of them is infinite or not a number.
        """
        if self._state is None:  # of a loop that tells of no epoch
            self._state = _State(self._model)
        if time.perf_counter() - self._listed > self._cost / _SHARE:
            self._list_variables(self._state)
        self._fail_with(self._state.first_non_finite(self.position.logs))
        self.finite = (self.position.epoch, self.position.step)

    def epoch_end(self, logs: dict[str, Any]) -> None:
        """Look at the losses of the epoch and at the model's variables.

        Raises:
            NonFiniteError: One of them is infinite or not a number.
        """
        self._look_at_loss("loss", logs)
        if self._state is not None:
            self._list_variables(self._state)
            self._fail_with(self._state.first_non_finite_weight())
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
        if self._state is None:
            return None
        if self._state.has_others():
            self._state.prepare()
        return self._state.first_non_finite({})

    def _list_variables(self, state: _State) -> None:
        """See which variables there are, of which there are seldom others: it takes longer than the look."""
        started = time.perf_counter()
        has_others = state.has_others()
        self._listed = time.perf_counter()
        self._cost = self._listed - started
        if has_others:
            state.prepare()

    def _look_at_loss(self, name: str, logs: Mapping[str, Any]) -> None:
        value = logs.get(name)
        if isinstance(value, float) and not math.isfinite(value):
            self._fail_with(f"`{name}` is {value}")

    def _fail_with(self, what: str | None) -> None:
        if what is None:
            return
        epoch, step = self.position.epoch, self.position.step
        where = f"after step {step} of epoch {epoch + 1}" if step else f"after epoch {epoch}"
        raise NonFiniteError(f"Training became non-finite: {what} {where}.{ADVICE}")


class _State:
    """A model's variables and the losses of the epoch so far, looked at all at once.

    Values that are not finite before the first step, as of a mask, are meant to be so.

    Args:
        model: As it is before the first step.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._meant = {
            id(each): tf.logical_not(finite)
            for each in filter(_is_inexact, model.variables)
            if not bool(tf.reduce_all(finite := tf.math.is_finite(_real(each.value))))
        }
        self._overflows = False
        self.prepare()

    def has_others(self) -> bool:
        """Whether there are other variables than those that are looked at."""
        there = [loss_tracker(self._model), *self._variables()]
        return len(there) != len(self._looked_at) or not all(map(operator.is_, there, self._looked_at))

    def prepare(self) -> None:
        """Trace the look at the variables that there are."""
        tracker, variables = loss_tracker(self._model), self._variables()
        self._looked_at = [tracker, *variables]

        # What several devices have of a variable, which could be read as one outside of functions only.
        parts_of = self._model.distribute_strategy.experimental_local_results

        def sums() -> Any:
            losses = [] if tracker is None else parts_of(tracker.total.value)
            # A sum is finite only if all that it adds up is, for infinities do not cancel out, and reads each
            # value once. That of finite values may overflow: from then on they are looked at one by one.
            weights = [self._sum(each, part) for each in variables for part in parts_of(each.value)]
            return tf.stack([_total(losses), _total(weights)])

        # Traced here: TensorFlow would warn of functions that are called first in each of many trainings.
        self._traced = tf.function(sums, autograph=False).get_concrete_function()
        self._captured = list(self._traced.captured_inputs)
        self._sums()

    def _sums(self) -> tuple[float, float]:
        """Of the losses and of the weights."""
        # A call of the function itself takes five times as long, and small steps hardly longer than that.
        call = tf.raw_ops.StatefulPartitionedCall
        (sums,) = call(args=self._captured, Tout=[tf.float64], f=self._traced)
        losses, weights = sums.numpy()
        return float(losses), float(weights)

    def first_non_finite(self, logs: Mapping[str, Any]) -> str | None:
        """The loss or the first variable that is not finite, in words; None where all are.

        Args:
            logs: What the last step returned.
        """
        losses, weights = self._sums()
        if not losses and (returned := logs.get("loss")) is not None and keras.ops.size(returned) == 1:
            losses = float(keras.ops.convert_to_numpy(returned).reshape(()))
        if not math.isfinite(losses):
            return f"the loss is {losses}"
        return None if math.isfinite(weights) else self._first_of_all()

    def _variables(self) -> list[Any]:
        """Those of the model, and gradients that an optimizer accumulates, which weights show later."""
        optimizer = getattr(self._model, "optimizer", None)
        own = [] if optimizer is None else optimizer.variables
        accumulated = [each for each in own if each.path.endswith("gradient_accumulator")]
        return list(filter(_is_inexact, [*self._model.variables, *accumulated]))

    def first_non_finite_weight(self) -> str | None:
        """The first variable that is not finite, in words; None where all are."""
        _, weights = self._sums()
        return None if math.isfinite(weights) else self._first_of_all()

    def _first_of_all(self) -> str | None:
        for each in self._variables():
            if not bool(self._is_finite(each, each.value)):
                return f"`{each.path}` holds values that are not finite"
        if not self._overflows:
            self._overflows = True
            self.prepare()
        return None

    def _sum(self, variable: Any, part: Any) -> Any:
        """Of a part of a variable; where a sum says nothing of its values, 0 or not a number."""
        if self._overflows or id(variable) in self._meant or variable.dtype == "float16":
            return tf.where(self._is_finite(variable, part), 0.0, math.nan)
        return tf.reduce_sum(_real(part))

    def _is_finite(self, variable: Any, part: Any) -> Any:
        finite = tf.math.is_finite(_real(part))
        meant = self._meant.get(id(variable))
        return tf.reduce_all(finite if meant is None else tf.logical_or(finite, meant))


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


def _is_inexact(variable: Any) -> bool:
    """Whether its values can be other than finite."""
    return keras.backend.is_float_dtype(variable.dtype) or "complex" in variable.dtype


def _real(part: Any) -> Any:
    """Real numbers that are finite where the values are, in a type that TensorFlow can compute with."""
    values = tf.convert_to_tensor(part)
    if values.dtype.is_complex:
        return tf.abs(values)
    return tf.cast(values, tf.float32) if values.dtype.size == 1 else values


def _total(numbers: Any) -> Any:
    return tf.add_n([tf.zeros((), tf.float64), *(tf.cast(each, tf.float64) for each in numbers)])
