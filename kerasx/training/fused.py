"""Many steps a call: a loop over batches inside one TensorFlow function, compiled by XLA or not."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import keras
import tensorflow as tf

from kerasx.data.arrays import Arrays
from kerasx.data.batches import Batches
from kerasx.data.chunks import Chunk, Chunks, batch_of
from kerasx.training.binding import BoundStep, Call, Told
from kerasx.training.execution import CannotExecute, Execution
from kerasx.training.steps import Logs, Step
from kerasx.training.traced import TracedStep, refusal

# However long its steps take, Python is come back to so often: for signals and for the display.
_SECONDS = 0.2
# Makes tables while steps are traced. One thread for all trainings: the C library keeps what threads have
# freed apart for each of several, and what each training has made in a new one would add up.
_tables_thread = ThreadPoolExecutor(1, "kerasx-tables")


class FusedStep(BoundStep):
    """As many steps a call as the execution says.

    Each step gathers its batch from a table of rows. Which rows is all that changes from call to call, so
    that chunks of full batches are compiled once.
    """

    def __init__(self, step: Step, model: keras.Model, batches: Batches, execution: Execution) -> None:
        super().__init__(model, batches)
        self._step = step
        self._execution = execution
        self._chunks: Chunks | None = None
        self._function: Any = None
        self._pace = 1
        self._last: Chunk | None = None

    def prepare(self, *, compiles: bool = True) -> None:
        """Trace the step, and compile the loop by taking no step of each shape of chunks."""
        if self._function is not None:
            return
        model, own = self.model, self._step

        def fused_step(data: Any) -> Logs:
            return own(model, data)

        jit = self._execution.jit
        chunks = _tables_thread.submit(Chunks, self.batches, self._execution.steps_per_call)
        try:
            step = TracedStep(fused_step, self.batches.signature, jit)
            self.draws = step.draws
            _check_logs(step.outputs)
        finally:
            wait([chunks])
        self._chunks = chunks.result()
        function = self._loop(self._chunks, step)
        samples = list(self._chunks.samples()) if compiles else []
        try:
            for chunk in samples:
                function(chunk.table, chunk.numbers, 0, 0)
        except tf.errors.OpError as error:
            if not jit:
                raise
            raise CannotExecute("jit", refusal(error)) from error
        if jit and not (samples and step.loop_jit):
            # Compiled by the first call only.
            step.check_xla(self.batches.batch_size)
        self._function = function

    def calls(self, epoch: int, told: Told | None = None, start: int = 0) -> Generator[Call]:
        """A call for so many steps, or what is left of the epoch."""
        self.prepare()
        assert self._chunks is not None
        steps = self._execution.steps_per_call
        # Closed as soon as no more is asked for: a pipeline is read ahead.
        with contextlib.closing(self._chunks.epoch(epoch, start)) as chunks:
            for number, some in itertools.groupby(chunks, lambda each: each.first // steps):
                yield _Chunks(number * steps, some, self, told)

    def take(self, chunk: Chunk, told: Told | None) -> Logs:
        """Take the steps of a chunk; returns the logs of the last."""
        done, logs = 0, {}
        if told is not None and not isinstance(self.batches.rows, Arrays):
            self._last = chunk
        while done < chunk.steps:
            started = time.perf_counter()
            upto = min(done + self._pace, chunk.steps)
            if self.singly_from is not None:
                left = self.singly_from - chunk.first - done
                upto = min(upto, done + max(1, left))
            logs = self._function(chunk.table, chunk.numbers, done, upto)
            self._pace = max(1, int(_SECONDS * (upto - done) / (time.perf_counter() - started)))
            done = upto
            if told is not None:
                told(chunk.first + done)
        return logs

    def recent(self, first: int) -> Mapping[int, Any]:
        """Those of the last chunk."""
        if (chunk := self._last) is None:
            return {}
        table, numbers, signature = chunk.table, chunk.numbers, self.batches.signature
        steps = range(max(0, first - chunk.first), chunk.steps)
        return {chunk.first + step: batch_of(table, numbers, tf.constant(step), signature) for step in steps}

    def _loop(self, chunks: Chunks, step: TracedStep) -> Any:
        signature = self.batches.signature

        def fused_loop(table: Any, numbers: Any, start: Any, stop: Any) -> Logs:
            def body(number: Any, _: Any) -> Any:
                return number + 1, step.function(batch_of(table, numbers, number, signature))

            none_yet = tf.nest.map_structure(lambda each: tf.zeros(each.shape, each.dtype), step.outputs)
            _, last = tf.while_loop(
                lambda number, _: number < stop, body, (start, none_yet), parallel_iterations=1
            )
            return last  # type: ignore[no-any-return]

        return tf.function(
            fused_loop,
            input_signature=[
                chunks.table_signature,
                chunks.numbers_signature,
                tf.TensorSpec([], tf.int32),
                tf.TensorSpec([], tf.int32),
            ],
            jit_compile=step.loop_jit or None,
            autograph=False,
        )


class _Chunks(Call):
    def __init__(self, first: int, chunks: Iterator[Chunk], step: FusedStep, told: Told | None) -> None:
        self.first = self.last = first
        self._chunks = chunks
        self._step = step
        self._told = told

    def run(self) -> Logs:
        logs: Logs = {}
        for chunk in self._chunks:
            logs = self._step.take(chunk, self._told)
            self.last = chunk.first + chunk.steps - 1
        return logs


def _check_logs(logs: Any) -> None:
    if not isinstance(logs, Mapping):
        raise CannotExecute("fused", f"it returns {type(logs).__name__} in place of a dictionary of logs")
    for name, each in logs.items():
        for leaf in tf.nest.flatten(each):
            shape = getattr(leaf, "shape", None)
            if shape is None or not shape.is_fully_defined():
                raise CannotExecute("fused", f"`{name}` in its logs is no tensor of a fixed shape: {shape}")
