"""Training through Keras's own `fit`, with the model's step or with one that takes many batches a call."""

from __future__ import annotations

import contextlib
import functools
import math
import warnings
from collections.abc import Callable, Generator, Iterator
from typing import Any

import keras
import tensorflow as tf

from kerasx.plain import plain_value
from kerasx.training.binding import BoundStep, Call, Told
from kerasx.training.distribution import build_optimizer
from kerasx.training.execution import CannotExecute
from kerasx.training.position import Start
from kerasx.training.steps import Logs
from kerasx.training.task import Callbacks, TrainingTask

# What the stand-in for the data yields, under a name that no data has.
_STAND_IN = "kerasx: a stand-in for data that steps take by themselves"


def run_fit(task: TrainingTask) -> dict[str, list[float]]:
    """Call the model's `fit` once, for all epochs of the task.

    Returns:
        The history by name, epoch by epoch.
    """
    model, callbacks = task.model, task.callback_list(Callbacks)
    if task.followers:
        # They keep the state before the first call, which would be without the optimizer's variables.
        build_optimizer(model)
    validation = None if task.validation is None else task.validation.dataset
    callbacks.position.is_exact = _calls_functions(model, "make_train_function", "fit")
    callbacks.position.can_validate_again = _calls_functions(model, "make_test_function", "evaluate", "fit")
    with contextlib.ExitStack() as stack:
        if task.start.step:
            left_out = functools.partial(_leaving_out, task.start, model.steps_per_execution)
            stack.enter_context(_called_by_keras(model, "train", left_out))
        return _fit(task, callbacks, task.batches.dataset, validation)


def _leaving_out(start: Start, per_call: int, kerass: Any) -> Any:
    """Keras's function for batches, which passes over those that were stepped on before."""
    left = start.step

    def function(iterator: Any) -> Any:
        nonlocal left
        if not left:
            return kerass(iterator)
        taken = min(per_call, left)
        for _ in range(taken):
            next(iterator)
        left -= taken
        return start.logs

    return function


def run_fused_fit(task: TrainingTask, train: BoundStep, test: BoundStep | None) -> dict[str, list[float]]:
    """The same with other steps than the model's, each of which feeds itself.

    `fit` is given a stand-in for data and a number of calls, and calls `train` where it would call its own
    function: epochs, validation and callbacks stay Keras's. What callbacks evaluate meanwhile with data of
    their own is evaluated by Keras's function.

    Args:
        task: The task.
        train: The training step, bound to the task's batches.
        test: The test step, bound to its validation batches; None where there are none.
    """
    model, per_call = task.model, task.execution.steps_per_call
    callbacks = task.callback_list(_FusedCallbacks)
    callbacks.per_call = per_call
    callbacks.training = _Pass(train, callbacks.told)
    callbacks.validation = None if test is None else _Pass(test)
    callbacks.position.is_exact = callbacks.position.can_validate_again = True
    with contextlib.ExitStack() as stack:
        # What `fit` takes for one step is one call.
        stack.callback(setattr, model, "steps_per_execution", model.steps_per_execution)
        model.steps_per_execution = 1
        for name, own in (("train", callbacks.training), ("test", callbacks.validation)):
            if own is not None:
                stack.callback(own.end)
                stack.enter_context(_called_by_keras(model, name, functools.partial(_or_kerass, own)))
        # Endless, and made into an iterator once: making one takes as long as many steps.
        stand_in = tf.data.Dataset.from_tensors({_STAND_IN: 0}).repeat()
        return _fit(
            task,
            callbacks,
            stand_in,
            None if test is None else stand_in,
            steps_per_epoch=_calls(train, per_call),
            validation_steps=None if test is None else _calls(test, per_call),
        )


def _calls(step: BoundStep, per_call: int) -> int | None:
    """Calls an epoch; None where a pipeline does not tell."""
    steps = step.batches.steps
    return None if steps is None else -(-steps // per_call)


def check_fit_calls_functions(model: keras.Model) -> None:
    """See that `fit` will call the functions it is given.

    Raises:
        CannotExecute: The model makes its own.
    """
    for name in ("make_train_function", "make_test_function", "fit", "evaluate"):
        if not _calls_functions(model, name):
            raise CannotExecute("fused", f"{type(model).__name__} has a `{name}` of its own")


def _calls_functions(model: keras.Model, *names: str) -> bool:
    """Whether methods are Keras's own."""
    return all(
        getattr(type(model), name) is getattr(keras.Model, name) and name not in vars(model) for name in names
    )


def _fit(
    task: TrainingTask, callbacks: Callbacks, batches: Any, validation: Any, **steps: int | None
) -> dict[str, list[float]]:
    with warnings.catch_warnings():
        if task.batches.steps is None:
            # Keras takes the end of a pipeline that does not tell its length for a lack of data.
            warnings.filterwarnings("ignore", message=r"\s*Your input ran out of data")
        history = task.model.fit(
            batches,
            epochs=task.epochs,
            initial_epoch=task.initial_epoch,
            callbacks=callbacks,
            validation_data=validation,
            # The batches come in the order of the experiment; asked to shuffle them, Keras only warns.
            shuffle=False,
            verbose=0,
            **steps,
        )
    return {name: [plain_value(value) for value in values] for name, values in history.history.items()}


class _Pass:
    """The function that `fit` calls in place of its own, epoch after epoch.

    Args:
        step: What is called.
        told: As for `BoundStep.calls`.

    Attributes:
        last: The number of the last batch of the last call.
    """

    def __init__(self, step: BoundStep, told: Told | None = None) -> None:
        self._step = step
        self._told = told
        self._calls: Generator[Call] | None = None
        self._left_out = 0
        self._logs: Logs = {}
        self.last = 0

    def begin(self, epoch: int, start: int = 0, logs: Logs | None = None, left_out: int = 0) -> None:
        """Begin an epoch.

        Args:
            epoch: Counted from 0.
            start: How many steps of it were taken before.
            logs: What the last of them returned.
            left_out: How many calls they were, which are passed over.
        """
        self.end()
        self._logs, self._left_out = logs or {}, left_out
        self._calls = self._step.calls(epoch, self._told, start)

    def run(self) -> Logs:
        """Run the next call.

        Raises:
            StopIteration: There is none, by which Keras knows the end of a pipeline.
        """
        assert self._calls is not None
        if self._left_out:
            self._left_out -= 1
            return self._logs
        call = next(self._calls)
        logs = call.run()
        self.last = call.last
        return logs

    def end(self) -> None:
        """Let go of what is read ahead."""
        if self._calls is not None:
            self._calls.close()


def _or_kerass(own: _Pass, kerass: Any) -> Any:
    """A function that runs a pass for the stand-in, and is Keras's for anything else."""

    def function(iterator: Any) -> Any:
        spec = getattr(iterator, "element_spec", None)
        return own.run() if isinstance(spec, dict) and _STAND_IN in spec else kerass(iterator)

    return function


@contextlib.contextmanager
def _called_by_keras(model: keras.Model, name: str, around: Callable[[Any], Any]) -> Iterator[None]:
    """Have `fit` call what is made of the function that Keras makes."""
    maker = f"make_{name}_function"
    make = getattr(model, maker)
    make(force=True)
    function = around(getattr(model, f"{name}_function"))

    @functools.wraps(make)
    def given(force: bool = False) -> None:
        setattr(model, f"{name}_function", function)

    setattr(model, maker, given)
    given()
    try:
        yield
    finally:
        delattr(model, maker)
        make(force=True)


class _FusedCallbacks(Callbacks):
    """Begins the passes, and tells callbacks the numbers of batches where `fit` counts calls."""

    per_call: int
    training: _Pass
    validation: _Pass | None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_begin(epoch, logs)
        start, steps = self.first_step(epoch), self.params["steps"]
        # The last call of an epoch may be a short one.
        left_out = -(-start // self.per_call) if start == steps else start // self.per_call
        self.training.begin(epoch, start, self.start.logs, left_out)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        first = batch * self.per_call
        self.begin_call(first, min(first + self.per_call, self.params["steps"] or math.inf) - 1, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        super().on_train_batch_end(self.training.last, logs)

    def on_test_begin(self, logs: Any = None) -> None:
        super().on_test_begin(logs)
        if self.validation is not None:
            self.validation.begin(0)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        super().on_test_batch_begin(batch * self.per_call, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.validation is not None:
            super().on_test_batch_end(self.validation.last, logs)
