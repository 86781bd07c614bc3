"""Training through Keras's own `fit`, with the model's step or with one that takes many batches a call."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Generator, Iterator
from typing import Any

import keras
import tensorflow as tf

from kerasx.plain import plain_value
from kerasx.training.binding import BoundStep, Call, Told
from kerasx.training.execution import CannotExecute
from kerasx.training.steps import Logs
from kerasx.training.task import Callbacks, TrainingTask

# What the stand-in for the data yields: the number of a call, under a name that no data has.
_CALL = "kerasx: number of a call"


def run_fit(task: TrainingTask) -> dict[str, list[float]]:
    """Call the model's `fit` once, for all epochs of the task.

    Returns:
        The history by name, epoch by epoch.
    """
    validation = None if task.validation is None else task.validation.dataset
    return _fit(task, task.batches.dataset, validation, task.callback_list(Callbacks))


def run_fused_fit(task: TrainingTask, train: BoundStep, test: BoundStep | None) -> dict[str, list[float]]:
    """The same with other steps than the model's, each of which feeds itself.

    `fit` is given numbers of calls for data, and calls `train` where it would call its own function: epochs,
    validation and callbacks stay Keras's. What callbacks evaluate meanwhile with data of their own is
    evaluated by Keras's function.

    Args:
        task: The task.
        train: The training step, bound to the task's batches.
        test: The test step, bound to its validation batches; None where there are none.
    """
    model, per_call = task.model, task.execution.steps_per_call
    callbacks = task.callback_list(_FusedCallbacks)
    callbacks.per_call = per_call
    # Read when an epoch begins, which `BatchPosition` has been told of by then.
    callbacks.training = _Pass(train, per_call, lambda: task.batches.position, callbacks.told)
    with contextlib.ExitStack() as stack:
        # One element of the stand-in is one call.
        stack.callback(setattr, model, "steps_per_execution", model.steps_per_execution)
        model.steps_per_execution = 1
        stack.enter_context(_called_by_keras(model, "train", callbacks.training))
        validation = None
        if test is not None:
            callbacks.validation = _Pass(test, per_call, lambda: 0)
            stack.enter_context(_called_by_keras(model, "test", callbacks.validation))
            validation = callbacks.validation.stand_in
        return _fit(task, callbacks.training.stand_in, validation, callbacks)


def check_fit_calls_functions(model: keras.Model) -> None:
    """See that `fit` will call the functions it is given.

    Raises:
        CannotExecute: The model makes its own.
    """
    for name in ("make_train_function", "make_test_function", "fit", "evaluate"):
        if getattr(type(model), name) is not getattr(keras.Model, name):
            raise CannotExecute("fused", f"{type(model).__name__} has a `{name}` of its own")


def _fit(task: TrainingTask, batches: Any, validation: Any, callbacks: Any) -> dict[str, list[float]]:
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
        )
    return {name: [plain_value(value) for value in values] for name, values in history.history.items()}


class _Pass:
    """The function that `fit` calls in place of its own, and the data it takes the calls from.

    Args:
        step: What is called.
        per_call: Steps a call.
        epoch: Which epoch begins.
        told: As for `BoundStep.calls`.

    Attributes:
        stand_in: Yields the numbers of an epoch's calls.
        last: The number of the last batch of the last call.
    """

    def __init__(
        self, step: BoundStep, per_call: int, epoch: Callable[[], int], told: Told | None = None
    ) -> None:
        self._step = step
        self._epoch = epoch
        self._told = told
        self._calls: Generator[Call] | None = None
        self.last = 0
        steps = step.batches.steps
        if steps is None:
            # More than there can be, and a filter, so that Keras does not know how many.
            numbers = tf.data.Dataset.range(tf.int64.max).filter(lambda _: True)
        else:
            numbers = tf.data.Dataset.range(-(-steps // per_call))
        self.stand_in: tf.data.Dataset = numbers.map(lambda number: {_CALL: number})

    def __call__(self, iterator: Any) -> Logs:
        number = next(iterator)[_CALL]
        if number == 0 or self._calls is None:
            self.close()
            self._calls = self._step.calls(self._epoch(), self._told)
        call = next(self._calls)  # StopIteration, at the end of a pipeline, is what Keras expects
        logs = call.run()
        self.last = call.last
        return logs

    def close(self) -> None:
        """Let go of what is read ahead."""
        if self._calls is not None:
            self._calls.close()


@contextlib.contextmanager
def _called_by_keras(model: keras.Model, name: str, own: _Pass) -> Iterator[None]:
    """Have `fit` call a function for the stand-in, and Keras's for anything else."""
    maker = f"make_{name}_function"
    make = getattr(model, maker)
    make(force=True)
    kerass = getattr(model, f"{name}_function")

    def function(iterator: Any) -> Any:
        spec = getattr(iterator, "element_spec", None)
        return own(iterator) if isinstance(spec, dict) and _CALL in spec else kerass(iterator)

    @functools.wraps(make)
    def given(force: bool = False) -> None:
        setattr(model, f"{name}_function", function)

    setattr(model, maker, given)
    given()
    try:
        yield
    finally:
        own.close()
        delattr(model, maker)
        make(force=True)


class _FusedCallbacks(Callbacks):
    """Tells callbacks the numbers of batches where `fit` counts calls."""

    per_call: int
    training: _Pass
    validation: _Pass

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        super().on_train_batch_begin(batch * self.per_call, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        super().on_train_batch_end(self.training.last, logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        super().on_test_batch_begin(batch * self.per_call, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        super().on_test_batch_end(self.validation.last, logs)
