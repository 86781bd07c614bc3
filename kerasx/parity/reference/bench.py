"""One experiment, assembled once, on which the reference is run with any deviations."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import keras

from kerasx.assembly.assemble import Assembly, assemble
from kerasx.assembly.choose import STEP_DRIVER
from kerasx.assembly.isolation import isolated
from kerasx.data.arrays import Arrays
from kerasx.data.sample import sample
from kerasx.errors import UsageError, one_line
from kerasx.parity.first_steps import EPOCHS, STEPS, WHOLE, Steps, as_it_was, end_trace, own_callbacks
from kerasx.parity.own_metrics import without_own_metrics
from kerasx.parity.recorder import StepRecorder
from kerasx.parity.records import StepTrace, Trace
from kerasx.parity.reference.borrowed import applied, given, take_initial
from kerasx.parity.reference.deviation import At, Deviation
from kerasx.parity.reference.objective import loss_weights_of
from kerasx.parity.reference.of_data import OtherRows
from kerasx.parity.reference.of_metrics import all_metrics
from kerasx.parity.reference.rows import all_rows, count_of, epoch_of, picked
from kerasx.parity.reference.run import Batch, Plan, run
from kerasx.parity.reference.step import WEIGHTS, test_step
from kerasx.parity.sides import Named
from kerasx.parity.state import FullState, named_variables, read_state
from kerasx.parity.watch import Watch
from kerasx.registry import Registry
from kerasx.training.seams import observed
from kerasx.training.task import Callbacks, TrainingTask

# Of an evaluation of all rows, so many at a time.
_ROWS = 256

# Told of each step that has ended, with its place in the trace; answers whether to go on.
Ended = Callable[[StepTrace, int], bool]


def keras_train_step(model: keras.Model, data: Any) -> Any:
    """Keras's own training step, also of a model that overrides it."""
    return keras.Model.train_step(model, data)


def keras_test_step(model: keras.Model, data: Any) -> Any:
    """Keras's own test step, also of a model that overrides it."""
    return keras.Model.test_step(model, data)


# A step by name, as a user's own is: so that what is measured by default is the same.
KERAS = {"name": "custom-step", "step": keras_train_step, "test_step": keras_test_step}


class NoReferenceError(UsageError):
    """An experiment on which Keras's own step cannot be taken, as of a metric that wants other outputs."""


class _Enough(Exception):
    """A run has shown what it was to show."""


class _Watch(Watch):
    """Tells of each step that has ended."""

    ended: Ended = staticmethod(lambda step, place: True)

    def end(self, logs: Any = None) -> None:
        step = self._step
        super().end(logs)
        assert step is not None
        if not self.ended(step, len(self._trace.steps) - 1):
            raise _Enough


class Bench:
    """Runs the reference.

    Args:
        assembly: The experiment, resolved; within `isolated`.
        numbers: What numbers the batches have in the experiment's epochs.

    Attributes:
        plan: What the experiment steps through.
        experiment: With everything filled in that was left open.
        rows: All that can be trained on, `(x, y, sample_weight)`.
        held_out: All that can be validated on, where it is arrays.
    """

    def __init__(self, assembly: Assembly, numbers: dict[str, list[int]]) -> None:
        self._assembly = assembly
        self.experiment = assembly.experiment
        self._numbers = numbers
        task = assembly.task
        self.model = task.model
        self.plan = Plan(
            tuple(tuple(epoch_of(task.batches, epoch)) for epoch in range(min(EPOCHS, task.epochs))),
            None if task.validation is None else tuple(epoch_of(task.validation, 0)),
        )
        asked = assembly.experiment.loss_weights
        self._weights = loss_weights_of(self.model) if asked is None else asked
        self.rows = all_rows(assembly, self.plan)
        other = assembly.dataset.validation
        self.held_out = (other.x, other.y, other.sample_weight) if isinstance(other, Arrays) else None
        self._optimizer = self.model.optimizer
        self._optimizer.build(self.model.trainable_variables)
        self._start = [
            (each, keras.ops.convert_to_numpy(each))
            for each in (*self.model.variables, *self._optimizer.variables)
        ]
        # Metrics and the means of outputs' losses are made when they are first needed.
        batch = next(batch for batch in self.plan.epochs[0] if batch is not None)
        try:
            test_step((), At(self.model, "evaluation", batch=batch))
        except Exception:  # whatever Keras or a user's metric raises
            _tolerate(self.model)
            try:
                test_step((), At(self.model, "evaluation", batch=batch))
            except Exception as error:
                said = f"Keras's own step fails on this experiment: {one_line(error)}"
                raise NoReferenceError(said) from error
        self.restore()

    @property
    def reported(self) -> frozenset[str]:
        """The names of all that is measured."""
        return frozenset(metric.name for metric in all_metrics(self.model))

    def restore(self) -> None:
        """Begin anew: weights, slots, random streams and metrics as they were assembled."""
        self.model.optimizer = self._optimizer
        for variable, value in self._start:
            variable.assign(value)
        self.model.reset_metrics()

    def trace(
        self,
        deviations: Sequence[Deviation] = (),
        *,
        like: Steps | None = None,
        states: Sequence[FullState] = (),
        ended: Ended = lambda step, place: True,
    ) -> tuple[Trace, dict[Any, Any]]:
        """Run the reference.

        Args:
            deviations: What is otherwise than in Keras.
            like: The steps that are to be reproduced, of which values are taken that have no cause: weights
                to begin with, or what a step returns beside its metrics.
            states: What each step starts from; its own where there is none.
            ended: Told of each step; a run ends early where it answers False.

        Returns:
            The trace, and what the deviations kept.
        """
        model = self.model
        self.restore()
        own = read_state(model)
        # By the names that the other side has for the same variables.
        fits = bool(states) and states[0].fits(own)
        called = states[0].names[: states[0].own] if fits else ()
        names = {id(variable): name for name, variable in named_variables(model, called)}

        def state_for(step: int) -> FullState | None:
            return states[step] if step < len(states) and states[step].fits(own) else None

        trace = Trace("reference")
        recorder = StepRecorder(model, called)
        batches = {"training": self._assembly.task.batches}
        if self._assembly.task.validation is not None:
            batches["evaluation"] = self._assembly.task.validation
        watch = _Watch(trace, recorder, batches, self._numbers, state_for)
        watch.ended = ended
        is_told = like is None or any(step.kind == "evaluation" for step in like.trace.steps)

        def aside(compute: Callable[..., Any]) -> Callable[..., Any]:
            def method(*args: Any) -> Any:
                with recorder.aside():
                    return compute(*args)

            return method

        memory: dict[Any, Any] = {
            "names": names,
            WEIGHTS: self._weights,
            "initial": lambda of: take_initial(names, model, of, like),
            "given": lambda name, at: given(name, at, like),
            "loss": None if like is None else like.loss,
            "applied": lambda name, call, at: applied(name, call, at, like),
            "evaluate": aside(self._evaluated),
            "hold out": aside(self._hold_out),
        }
        with contextlib.ExitStack() as stack:
            stack.enter_context(observed(recorder))
            stack.callback(lambda: [undo() for undo in reversed(memory.get("undo", []))])
            with contextlib.suppress(_Enough):
                plan = replace(self.planned(deviations), tells=is_told)
                users = stack.enter_context(own_callbacks(self._assembly))
                callbacks = Callbacks([*users, watch], model=model, epochs=self._assembly.task.epochs)
                run(model, plan, deviations, callbacks, memory)
                trace.steps += end_trace(recorder.read(), len(self.plan.epochs) - 1, "epoch").steps
        return trace, memory

    def planned(self, deviations: Sequence[Deviation]) -> Plan:
        """The plan, with the rows that deviations have it step through."""
        other = next((each for each in deviations if isinstance(each, OtherRows)), None)
        if other is None:
            return self.plan
        batches = iter(other.batches)
        epochs = tuple(
            tuple(picked(self.rows, next(batches)) for _ in range(count)) for count in other.epochs
        )
        evaluation = self.plan.evaluation
        if other.evaluation and self.held_out is not None:
            evaluation = tuple(filter(None, (picked(self.held_out, rows) for rows in other.evaluation)))
        return Plan(epochs, evaluation)

    def _hold_out(self, at: At) -> None:
        """An evaluation of the validation rows; its results stay in the metrics."""
        for batch in self.plan.evaluation or ():
            test_step((), At(self.model, "evaluation", at.epoch, at.index, batch))

    def _evaluated(self, at: At, of_all: bool) -> dict[str, Any]:
        """An evaluation of an epoch's training rows, or of all; metrics and state are put back."""
        model = self.model
        variables = [*model.metrics_variables, *model.variables]
        values = [keras.ops.convert_to_numpy(each) for each in variables]
        model.reset_metrics()
        for batch in self._all_batches() if of_all else self.plan.epochs[at.epoch]:
            if batch is not None:
                test_step((), At(model, "evaluation", at.epoch, at.index, batch))
        results = {name: float(value) for name, value in model.get_metrics_result().items()}
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return results

    def _all_batches(self) -> Iterator[Batch | None]:
        """All that can be trained on, in parts that fit into memory."""
        count = count_of(self.rows)
        for start in range(0, count, _ROWS):
            yield picked(self.rows, tuple(range(start, min(start + _ROWS, count))))


def _tolerate(model: keras.Model) -> None:
    """Let metrics that are not made for the model's outputs measure nothing, where they would raise."""

    def tolerant(update: Callable[..., Any]) -> Callable[..., Any]:
        def update_state(*args: Any, **kwargs: Any) -> Any:
            try:
                return update(*args, **kwargs)
            except Exception:  # whatever a metric raises on what it is not made for
                return None

        return update_state

    for metric in all_metrics(model):
        object.__setattr__(metric, "update_state", tolerant(metric.update_state))


@contextlib.contextmanager
def bench_of(side: Named, registry: Registry, *, whole: int = WHOLE) -> Iterator[Bench]:
    """The bench of an experiment, whatever strategy it names: the bench steps by itself.

    Args:
        side: Which.
        registry: The engine's plugins.
        whole: As of `take_steps`.

    Raises:
        UsageError: Something in the experiment is unknown or does not fit.
    """
    experiment = side.eager.experiment
    if not side.measures or side.has_own_step(registry):
        experiment = experiment.with_values(strategy=KERAS)
    else:
        experiment = experiment.with_values(strategy=STEP_DRIVER)
    numbers: dict[str, list[int]] = {}

    def adjust(task: TrainingTask) -> None:
        task.batches, numbers["training"] = sample(task.batches, STEPS, EPOCHS, whole=whole)
        if task.validation is not None:
            task.validation, numbers["evaluation"] = sample(task.validation, STEPS, 1, whole=whole)

    with isolated(experiment.seed, experiment.precision, afresh=True):
        assembly = assemble(experiment, side.resolver(registry), adjust=adjust, measures=side.measures)
        try:
            with as_it_was(assembly), without_own_metrics(assembly.task.model):
                yield Bench(assembly, numbers)
        finally:
            assembly.put_execution_back()
