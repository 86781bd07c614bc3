"""Trains one side of a comparison to its end; nothing is kept on disk."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable
from typing import Any

import keras

from kerasx.assembly.assemble import assemble
from kerasx.assembly.blame import training_error
from kerasx.assembly.isolation import isolated
from kerasx.digest import weights_digest
from kerasx.errors import KerasxError, UsageError
from kerasx.parity.first_steps import as_it_was, own_callbacks
from kerasx.parity.result import Side
from kerasx.parity.sides import Named
from kerasx.parity.state import FullState, read_state
from kerasx.registry import Registry
from kerasx.runs.directory import RunDirectory
from kerasx.runs.use import trained_model

Disturb = Callable[[keras.Model], None]


def train_side(named: Named, registry: Registry, disturb: Disturb | None = None) -> tuple[Side, FullState]:
    """Train an experiment to the end.

    Args:
        named: The experiment.
        registry: The engine's plugins.
        disturb: Called with the model before each call of a step.

    Returns:
        How it went, and the values of all variables at the end.

    Raises:
        UsageError: Something in the experiment is unknown, does not fit, or raises.
        PluginError: A plugin that was asked for fails.
    """
    experiment = named.experiment
    with isolated(experiment.seed, experiment.precision, afresh=True), contextlib.ExitStack() as stack:
        assembly = assemble(experiment, named.resolver(registry), measures=named.measures)
        task = assembly.task
        count = _Count()
        try:
            own = stack.enter_context(own_callbacks(assembly))
            task.callbacks = [count, *own] if disturb is None else [_Disturb(disturb), count, *own]
            with as_it_was(assembly):
                started = time.perf_counter()
                history = assembly.chosen.strategy.train(task)
                seconds = assembly.compile_seconds + time.perf_counter() - started
                validation = task.validation
                evaluation = {} if validation is None else assembly.chosen.strategy.evaluate(task, validation)
                digests = weights_digest(task.model), _state_digest(task.model)
                state = read_state(task.model)
        except KerasxError:
            raise
        except Exception as error:
            what = f"Training {named.name} failed"
            raise training_error(error, assembly.resolver, what, stepped=count.steps > 0) from error
        finally:
            assembly.put_execution_back()
        steps = count.steps or (task.batches.steps or 0) * task.epochs
        side = Side(
            name=named.name,
            experiment=assembly.experiment,
            execution=task.execution.mode,
            jit=task.execution.jit,
            history=history,
            evaluation=evaluation,
            seconds=seconds,
            steps=steps,
            weights_digest=digests[0],
            state_digest=digests[1],
            data_digest=assembly.dataset.digest,
            notes=tuple(assembly.notes),
            changed=tuple(named.changed_among(assembly.resolver.references.sources())),
        )
        return side, state


def recorded_side(named: Named, run: RunDirectory) -> Side:
    """How a finished run went, as its record says.

    Raises:
        UsageError: It has not finished.
    """
    summary = run.summary
    if summary.get("status") != "finished":
        raise UsageError(f"{run.name} cannot be compared: its status is {summary.get('status')}.")
    return Side(
        name=named.name,
        experiment=named.experiment,
        execution=summary["execution"],
        jit=summary["jit"],
        history=summary["history"],
        evaluation=summary["evaluation"],
        seconds=summary["seconds"],
        steps=round(summary["seconds"] * summary["steps_per_second"]),
        weights_digest=summary["weights_digest"],
        data_digest=run.environment.get("data_digest"),
        notes=tuple(summary["notes"]),
    )


def recorded_state(named: Named, run: RunDirectory, registry: Registry) -> FullState | None:
    """What a finished run ended with, from the model that it keeps; None where that cannot be read."""
    experiment = named.experiment
    try:
        with isolated(experiment.seed, experiment.precision, afresh=True):
            model = trained_model(run, run.experiment, named.resolver(registry))
            kept = weights_digest(model) == run.summary["weights_digest"]
            return read_state(model) if kept else None
    except KerasxError:
        return None


class _Count(keras.callbacks.Callback):
    """Counts training steps."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self._before = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._before = self.steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps = self._before + batch + 1


class _Disturb(keras.callbacks.Callback):
    """Disturbs the model at the beginning of each epoch and before each call of a step, of which a loop does
    not tell."""

    def __init__(self, disturb: Disturb) -> None:
        super().__init__()
        self._disturb = disturb

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._disturb(self.model)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._disturb(self.model)


def _state_digest(model: keras.Model) -> str:
    digest = hashlib.sha256()
    for variable in [] if model.optimizer is None else model.optimizer.variables:
        digest.update(keras.ops.convert_to_numpy(variable).tobytes())
    return digest.hexdigest()
