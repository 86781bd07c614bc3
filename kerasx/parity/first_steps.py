"""Takes the first steps of one training, each from a given state, and traces them."""

from __future__ import annotations

import contextlib
import copy
import importlib.metadata
import platform
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kerasx.assembly.assemble import Assembly, assemble
from kerasx.assembly.blame import UNBUILT, training_error
from kerasx.assembly.callbacks import make_callbacks
from kerasx.assembly.isolation import isolated
from kerasx.assembly.model import kept
from kerasx.component import Component
from kerasx.data.sample import sample
from kerasx.errors import KerasxError
from kerasx.parity.noise import Disturbance, unit_of
from kerasx.parity.own_metrics import own_metrics
from kerasx.parity.recorder import StepRecorder
from kerasx.parity.records import OWN_METRICS, StepTrace, Trace
from kerasx.parity.sides import Named
from kerasx.parity.state import FullState, is_seed, read_state
from kerasx.parity.watch import Watch, rows_of
from kerasx.parity.watched_batches import WatchedBatches
from kerasx.registry import Registry
from kerasx.training.adapters import LoopStrategy
from kerasx.training.layers import all_layers
from kerasx.training.seams import observed
from kerasx.training.task import TrainingTask

# Of each of so many epochs so many steps and the last one, which may be short.
EPOCHS, STEPS = 2, 3
# To explain them, epochs of so many are taken whole: of what somebody does after some steps of them.
WHOLE = 6


@dataclass(frozen=True)
class Steps:
    """The first steps of one side.

    Attributes:
        trace: What was observed of them.
        states: What each of them started from.
        slipped: Why they could not be kept in lockstep; None where they were.
        brings_optimizer: Whether an optimizer was seen to step in the place of the model's.
        loss: What the model was compiled with; None where that is not known, as of a trace on disk.
    """

    trace: Trace
    states: list[FullState]
    slipped: str | None
    brings_optimizer: bool = False
    loss: Any = None

    @property
    def has_training(self) -> bool:
        """Whether any training step was told from the next."""
        return any(step.kind == "training" for step in self.trace.steps)


def take_steps(
    side: Named,
    registry: Registry,
    *,
    observes: bool,
    states: list[FullState] | None = None,
    disturbance: Disturbance | None = None,
    draws: bool = True,
    by_updates: bool = False,
    epochs: int = EPOCHS,
    whole: int = 0,
    begins: Callable[[], None] = lambda: None,
    builds: bool = False,
) -> Steps:
    """Train a few steps of two epochs in a freshly loaded setting.

    Args:
        side: Its experiment's execution is the one that is used.
        registry: The engine's plugins.
        observes: Whether the stages within a step are traced, for which the execution has to be eager.
        states: What each step is to start from; None for what the step before it left.
        disturbance: Changes these states.
        draws: Whether layers that drop or disturb at random do so.
        by_updates: Whether a step is what there is from one update to the next, from whatever state.
        epochs: Of how many epochs at most.
        whole: Epochs of so many steps are taken whole.
        begins: Called when all is set up, before the first step.
        builds: Whether metrics that steps may leave aside are built before.

    Raises:
        UsageError: Something in the experiment is unknown, does not fit, or raises.
        PluginError: A plugin that was asked for fails.
    """
    experiment = side.experiment
    with isolated(experiment.seed, experiment.precision, afresh=True), contextlib.ExitStack() as stack:
        numbers: dict[str, list[int]] = {}

        def adjust(task: TrainingTask) -> None:
            task.batches, numbers["training"] = sample(task.batches, STEPS, EPOCHS, whole=whole)
            if task.validation is not None:
                task.validation, numbers["evaluation"] = sample(task.validation, STEPS, 1, whole=whole)
            if not draws:
                _switch_randomness_off(task.model)

        assembly = assemble(experiment, side.resolver(registry), adjust=adjust, measures=side.measures)
        try:
            assembly.task.callbacks = stack.enter_context(own_callbacks(assembly))
            assembly.task.epochs = min(epochs, assembly.task.epochs)
            if builds:
                _build_metrics(assembly.task)
            begins()
            steps: Steps | None = _take(
                assembly, side.name, numbers, observes, states, disturbance, by_updates=by_updates
            )
        except KerasxError:
            raise
        except Exception as error:
            if observes and not builds and UNBUILT in str(error):
                steps = None
            elif not isinstance(assembly.chosen.strategy, LoopStrategy) or by_updates or not observes:
                raise training_error(error, assembly.resolver, f"Tracing {side.name} failed") from error
            else:
                # It may want a data set, where it was handed what is like one.
                steps = Steps(Trace(side.name), [], "the loop takes its batches for a data set")
        finally:
            assembly.put_execution_back()
    if steps is None:
        return take_steps(
            side,
            registry,
            observes=observes,
            states=states,
            disturbance=disturbance,
            draws=draws,
            by_updates=by_updates,
            epochs=epochs,
            whole=whole,
            begins=begins,
            builds=True,
        )
    if steps.slipped is not None and not observes:
        # What was told of steps before it was known that they cannot be told apart says nothing of them.
        return replace(steps, trace=replace(steps.trace, steps=[]), states=[])
    if steps.slipped is None or by_updates:
        return steps
    again = take_steps(
        side, registry, observes=True, draws=draws, by_updates=True, epochs=epochs, whole=whole
    )
    return replace(again, slipped=steps.slipped)


def _take(
    assembly: Assembly,
    name: str,
    numbers: dict[str, list[int]],
    observes: bool,
    states: list[FullState] | None,
    disturbance: Disturbance | None,
    *,
    by_updates: bool,
) -> Steps:
    task = assembly.task
    model = task.model
    if disturbance is not None and not observes:
        # Operation by operation both sides round alike; fused by a compiler they do so in the narrower dtype.
        disturbance = replace(disturbance, unit=unit_of(model))
    own = read_state(model)
    # Another side's names for the same variables, so that records of both go by one.
    names = states[0].names[: states[0].own] if states and states[0].fits(own) else ()

    def state_for(step: int) -> FullState | None:
        if states is None or step >= len(states) or not states[step].fits(own):
            return None
        return states[step] if disturbance is None else disturbance(states[step], step)

    trace = Trace(name, about=_about(assembly))
    recorder = StepRecorder(model, names)
    batches = {"training": task.batches} | (
        {} if task.validation is None else {"evaluation": task.validation}
    )
    watch = Watch(trace, recorder, batches, numbers, state_for, by_updates=by_updates)
    watch.set_model(model)
    # After the others, whose changes belong to the step.
    task.callbacks = [*task.callbacks, watch]
    if isinstance(assembly.chosen.strategy, LoopStrategy) and not by_updates:
        task.batches = WatchedBatches(task.batches, watch)
    with contextlib.ExitStack() as stack:
        stack.enter_context(as_it_was(assembly))
        if observes:
            stack.enter_context(_functions_run_eagerly())
            stack.enter_context(observed(recorder))
        assembly.chosen.strategy.train(task)
        end = recorder.read()
    if not watch.states:
        watch.slipped = watch.slipped or "the strategy tells of no batches"
    trace.steps += end_trace(end, task.epochs - 1, "epoch").steps
    return Steps(trace, watch.states, watch.slipped, recorder.brings_optimizer, model.loss)


def _build_metrics(task: TrainingTask) -> None:
    """Build the metrics that the model was compiled with, of which a step gave nothing to one.

    In a graph it may have been built all the same; eagerly it has no result then. Nowhere else are they built
    ahead: what a metric becomes is up to what the step gives it first.
    """
    model, batch = task.model, rows_of(task.batches, 0, 0)
    if batch is None or not model.compiled:
        return
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    # Whatever a model raises on what it is not made for, it raises again in its step.
    with contextlib.suppress(Exception):
        keras.Model.compute_metrics(model, x, y, model(x, training=False), sample_weight)
    keras.Model.reset_metrics(model)  # not one of its own, which may leave some as they are


def _about(assembly: Assembly) -> dict[str, Any]:
    """What a trace on another machine has to be read with."""
    experiment = assembly.experiment
    return {
        "kerasx": importlib.metadata.version("kerasx"),
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "execution": assembly.task.execution.described,
        "seed": experiment.seed,
        "experiment": experiment.to_plain(),
        OWN_METRICS: list(own_metrics(assembly.task.model)),
    }


def _switch_randomness_off(model: keras.Model) -> None:
    """Set the rates of layers that drop or disturb at random to 0, whatever they are called there."""
    for layer in all_layers(model):
        if any(is_seed(variable) for variable in layer.variables):
            for name in ("rate", "stddev", "dropout", "recurrent_dropout"):
                if isinstance(getattr(layer, name, None), int | float):
                    with contextlib.suppress(AttributeError):
                        setattr(layer, name, 0.0)  # where it can be: others show that of a layer within


@contextlib.contextmanager
def _functions_run_eagerly() -> Iterator[None]:
    """Run a user's own TensorFlow functions operation by operation, as the seams see symbols in graphs."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Even though the `tf.config.experimental_run_functions")
            yield
    finally:
        tf.config.run_functions_eagerly(before)


@contextlib.contextmanager
def own_callbacks(assembly: Assembly) -> Iterator[list[keras.callbacks.Callback]]:
    """The experiment's callbacks, for one training alone; files that they write are removed."""
    with tempfile.TemporaryDirectory() as folder:
        copies = [_own_copy(each) for each in assembly.experiment.callbacks]
        yield make_callbacks(copies, assembly.resolver, Path(folder), keeps_nothing=True)


def _own_copy(callback: Component) -> Component:
    """A callback object as it was handed over; what cannot be copied is shared."""
    if not callback.is_object:
        return callback
    try:
        return callback.model_copy(update={"value": copy.deepcopy(callback.value)})
    except Exception:  # whatever the copying of somebody's object raises
        return callback


@contextlib.contextmanager
def as_it_was(assembly: Assembly) -> Iterator[None]:
    """Leave a model that was handed over as it was, for the next side and for whoever handed it over."""
    was_handed_over = assembly.task.model is assembly.experiment.model.value
    with kept(assembly.task.model) if was_handed_over else contextlib.nullcontext():
        yield


def end_trace(state: FullState, epoch: int, kind: str = "end") -> Trace:
    """What a training came to after an epoch, as the trace of a step of its own."""
    step = StepTrace(epoch, None, kind)
    for number, (name, value) in enumerate(zip(state.names, state.values, strict=True)):
        if number < state.own:
            step.add("update", f"{name} after training", value, "decides")
    return Trace("end", [step])
