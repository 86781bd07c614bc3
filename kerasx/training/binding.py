"""A step bound to a model, to batches and to an execution: what loops call."""

from __future__ import annotations

import contextlib
import functools
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from kerasx.data.arrays import Arrays
from kerasx.data.batches import Batches
from kerasx.errors import UsageError, one_line
from kerasx.training.distribution import build_optimizer, distributed_batches, is_distributed, on_each_replica
from kerasx.training.execution import CannotExecute, Execution
from kerasx.training.steps import Logs, Step

Told = Callable[[int], None]

_STATEFUL_DRAWS = {
    "Multinomial",
    "ParameterizedTruncatedNormal",
    "RandomGamma",
    "RandomPoisson",
    "RandomPoissonV2",
    "RandomShuffle",
    "RandomStandardNormal",
    "RandomUniform",
    "RandomUniformInt",
    "TruncatedNormal",
}


class Call(ABC):
    """One call of a step: on one batch, or on many in a row.

    Attributes:
        first: The number of its first batch in the epoch, counted from 0.
        last: That of its last batch, once it has run.
    """

    first: int
    last: int

    @abstractmethod
    def run(self) -> Logs:
        """Take the steps; returns the logs of the last."""


class BoundStep(ABC):
    """A step with everything it is called with.

    Attributes:
        model: What it steps.
        batches: What it steps through.
        singly_from: From which step of the epoch on to come back after each; None for never.
        draws: Operations of the step that draw from TensorFlow's stateful random streams; None where it is
            no graph, and nobody knows.
    """

    draws: tuple[str, ...] | None = None

    singly_from: int | None = None

    def __init__(self, model: keras.Model, batches: Batches) -> None:
        self.model = model
        self.batches = batches

    @abstractmethod
    def prepare(self, *, compiles: bool = True) -> None:
        """Trace and compile the step, so that the first call need not; nothing is trained.

        Args:
            compiles: Whether to compile; otherwise it is only seen to that the first call can.

        Raises:
            CannotExecute: That is not possible.
        """

    @abstractmethod
    def calls(self, epoch: int, told: Told | None = None, start: int = 0) -> Generator[Call]:
        """The calls of one epoch, each to be run before the next is asked for.

        To be closed where not all of them are asked for.

        Args:
            epoch: Counted from 0.
            told: Called with the steps taken in this epoch so far, also between the steps of one call.
            start: How many steps of the epoch to leave out, as they were taken before.

        Raises:
            UsageError: There is no batch, which a pipeline may not know before.
        """

    @abstractmethod
    def recent(self, first: int) -> Mapping[int, Any]:
        """The last batches of training that a pipeline handed out, as far as they are still there.

        Args:
            first: The number in the epoch of the first one that is asked for.

        Returns:
            By number.
        """


class SingleStep(BoundStep):
    """One batch a call, eagerly or as a TensorFlow function.

    The function is traced once, with the signature of the batches, in which the batch axis is unknown:
    that is how `fit` traces its step, and some operations give other bits with a fixed size. As in
    `fit`, AutoGraph is not applied.
    """

    def __init__(self, step: Step, model: keras.Model, batches: Batches, execution: Execution) -> None:
        super().__init__(model, batches)
        self._execution = execution
        # What one step makes of the weights shows in the loss of the next.
        self._recent: deque[tuple[int, Any]] = deque(maxlen=2)

        def single_step(data: Any) -> Logs:
            return step(model, data)

        self._function: Any = single_step
        if is_distributed(model):
            # As `fit` does: made within a replica's step, slots would be in a graph of it alone.
            build_optimizer(model)
            # What a replica gets is no tensor, and has no signature to trace with.
            self._function = on_each_replica(model, single_step)
            if not execution.eager:
                self._function = tf.function(self._function, autograph=False, reduce_retracing=True)
        elif not execution.eager:
            self._function = tf.function(
                single_step,
                input_signature=[batches.signature],
                jit_compile=execution.jit,
                autograph=False,
            )

    def prepare(self, *, compiles: bool = True) -> None:
        """Trace the step, where it is a function with a signature."""
        if not self._execution.eager and not is_distributed(self.model):
            self.draws = stateful_draws(traced(self._function))

    def calls(self, epoch: int, told: Told | None = None, start: int = 0) -> Generator[Call]:
        """A call for each batch."""
        count = start
        for batch in distributed_batches(self.model, self.batches.epoch(epoch, start)):
            if told is not None and not isinstance(self.batches.rows, Arrays):
                self._recent.append((count, batch))
            yield _OneBatch(count, batch, self._function)
            count += 1
            if told is not None:
                told(count)
        if not count:
            raise UsageError("The pipeline handed out no batch.")
        self.batches.end_epoch(count)

    def recent(self, first: int) -> Mapping[int, Any]:
        """Two at most."""
        return {number: _whole(self.model, batch) for number, batch in self._recent if number >= first}


def _whole(model: keras.Model, batch: Any) -> Any:
    """A batch with what each device has of it put together."""
    if not is_distributed(model):
        return batch
    parts_of = model.distribute_strategy.experimental_local_results
    return tf.nest.map_structure(lambda each: tf.concat(parts_of(each), axis=0), batch)


class _OneBatch(Call):
    def __init__(self, number: int, batch: Any, function: Callable[[Any], Logs]) -> None:
        self.first = self.last = number
        self._batch = batch
        self._function = function

    def run(self) -> Logs:
        return self._function(self._batch)


def stateful_draws(concrete: Any) -> tuple[str, ...]:
    """Operations of a concrete function that draw from TensorFlow's stateful random streams."""
    return tuple(sorted(operations_of(concrete) & _STATEFUL_DRAWS))


def operations_of(concrete: Any) -> set[str]:
    """The kinds of all operations of a concrete function, those of functions that it calls among them."""
    definition = concrete.graph.as_graph_def()
    bodies = [definition.node, *(each.node_def for each in definition.library.function)]
    return {node.op for body in bodies for node in body}


def traced(function: Any) -> Any:
    """The concrete function of a TensorFlow function that has a signature.

    Raises:
        CannotExecute: Tracing raises, as for a step that looks at values.
    """
    try:
        with _variables_have_values():
            return _concrete(function)
    except Exception as error:  # whatever a user's step raises, for which eager execution has better words
        raise CannotExecute("graph", one_line(error)) from error


def _concrete(function: Any) -> Any:
    """The concrete function, whose graph goes when nobody holds the function any more.

    The public method is for functions that are kept for good: it leaves their graphs in memory for ever, some
    30 MB a training. Hence TensorFlow's private one, here only, and the public one where that is gone.
    """
    get = getattr(function, "_get_concrete_function_garbage_collected", function.get_concrete_function)
    return get()


@contextlib.contextmanager
def _variables_have_values() -> Iterator[None]:
    """Make variables outside of the graph that is being traced.

    Those that TensorFlow lifts out of a graph (the slots of optimizers, the states of metrics) get their
    values once the trace has succeeded. After one that failed they would be there without values, and
    whatever owns them, be it the model's optimizer or one of the user's, could not be used any more.
    """
    make = keras.Variable.__init__

    @functools.wraps(make)
    def made(self: Any, initializer: Any, *args: Any, **kwargs: Any) -> None:
        is_of_the_graph = tf.is_tensor(initializer) and not hasattr(initializer, "numpy")
        with contextlib.nullcontext() if is_of_the_graph else tf.init_scope():
            make(self, initializer, *args, **kwargs)

    own = vars(keras.Variable).get("__init__")
    keras.Variable.__init__ = made
    try:
        yield
    finally:
        if own is None:
            del keras.Variable.__init__
        else:
            keras.Variable.__init__ = own
