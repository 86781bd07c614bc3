"""Trains one experiment in this process: by kerasx, by a plain program, or for the reference of bits."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np

from kerasx.assembly.assemble import Assembly, assemble
from kerasx.assembly.choose import choose_strategy
from kerasx.assembly.isolation import isolated
from kerasx.assembly.resolve import Resolver
from kerasx.bench import peers
from kerasx.bench.arithmetic import epoch_operations, multiplication_rate
from kerasx.bench.contestants import Contestant
from kerasx.bench.network import arrays_of, plain_layers, write_plain_network
from kerasx.bench.timer import EpochTimer
from kerasx.component import Component
from kerasx.data.arrays import Arrays, map_arrays
from kerasx.data.dataset import Dataset
from kerasx.data.order import batch_order
from kerasx.digest import weights_digest
from kerasx.engine import Engine
from kerasx.experiment import Experiment
from kerasx.registry import Registry
from kerasx.training.steps import test_step, train_step
from kerasx.training.strategy import Capabilities, StepStrategy
from kerasx.training.task import TrainingTask


class _Bare(StepStrategy):
    """Stands where a strategy has to, for programs that train by themselves."""

    capabilities = Capabilities(executions=("graph",))

    def train(self, task: TrainingTask) -> dict[str, list[float]]:
        raise NotImplementedError


class _Times(keras.callbacks.Callback):
    """Times epochs from the callbacks' side."""

    def __init__(self, timer: EpochTimer) -> None:
        super().__init__()
        self._timer = timer

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._timer.begin()

    def on_train_end(self, logs: Any = None) -> None:
        self._timer.end()


@dataclass(frozen=True)
class _Reporter:
    """Has `Engine.train` time its epochs."""

    timer: EpochTimer

    def note(self, text: str) -> None:
        pass

    def callbacks(self, steps: int | None) -> list[Any]:
        return [_Times(self.timer)]


def declared(path: str, epochs: int) -> Experiment:
    """The experiment of a file, for so many epochs."""
    return Experiment.from_toml(path).with_values(epochs=epochs)


def survey(experiment: Experiment, plain_network: Path) -> dict[str, Any]:
    """What there is to measure, and what it has to be compared with.

    Args:
        experiment: The declaration.
        plain_network: Where to write data and initial weights, where the network is the article's.
    """
    registry = Registry()
    strategies = []
    for each in registry.registrations("strategy"):
        implementation = registry.load(each)
        if isinstance(implementation, type) and issubclass(implementation, StepStrategy):
            capabilities = implementation.capabilities
            strategies.append([each.spec.name, capabilities.executions, capabilities.jit])
    with isolated(experiment.seed, experiment.precision):
        if experiment.strategy.described not in [name for name, *_ in strategies]:
            own = choose_strategy(experiment.strategy, Resolver(registry)).strategy.capabilities
            strategies.append([experiment.strategy.described, own.executions, own.jit])
        assembly = _assembled(experiment, jit=False)
        task = assembly.task
        operations = epoch_operations(task.model, task.train_step or train_step, task.batches)
        if operations is not None and task.validation is not None:
            operations += epoch_operations(task.model, task.test_step or test_step, task.validation) or 0.0
        layers = plain_layers(assembly)
        if layers is not None:
            write_plain_network(assembly, layers, plain_network)
        return {
            "strategies": strategies,
            "operations": operations,
            "steps": task.batches.steps,
            "parameters": task.model.count_params(),
            "has_plain_network": layers is not None,
            "rate": multiplication_rate(),
        }


def kerasx_run(experiment: Experiment, who: Contestant, runs: str, weights: Path) -> dict[str, Any]:
    """Train as kerasx does."""
    share = 1.0
    if who.share < 1:
        with isolated(experiment.seed, experiment.precision):
            assembly = _assembled(experiment, jit=False)
        part, share = _part(assembly.dataset, who.share, experiment.batch_size)
        # The rows come as steps see them: nothing is to be done to them again.
        done: dict[str, Any] = {
            "dataset": part,
            "validation_split": None,
            "class_weight": None,
            "labels": "as-given",
        }
        if assembly.experiment.model.name == "mlp":
            # Some rows may lack a class, by which the model would have fewer outputs.
            outputs = assembly.task.model.output_shape[-1]
            done["model"] = Component(name="mlp", options={**experiment.model.options, "outputs": outputs})
        experiment = assembly.experiment.with_values(**done)
    strategy = who.strategy if experiment.strategy.described != who.strategy else experiment.strategy
    timer = EpochTimer()
    run = Engine(runs=runs).train(
        _as_measured(experiment),
        reporter=_Reporter(timer),
        strategy=strategy,
        execution=who.execution,
        jit=None if who.execution == "eager" else who.jit,
        steps_per_call=experiment.steps_per_call if who.execution in (None, "fused") else None,
    )
    _save(run.model, weights)
    return {
        "epochs": timer.seconds,
        "share": share,
        "compile_seconds": run.compile_seconds,
        "digest": run.weights_digest,
        "execution": run.execution,
        "jit": run.jit,
    }


def peer(experiment: Experiment, who: Contestant, weights: Path) -> dict[str, Any]:
    """Train as a plain program does."""
    timer = EpochTimer()
    with isolated(experiment.seed, experiment.precision):
        assembly = _assembled(experiment, jit=bool(who.jit))
        dataset, share = assembly.dataset, 1.0
        if who.share < 1:
            dataset, share = _part(dataset, who.share, experiment.batch_size)
        rows, validation = arrays_of(dataset)
        model = assembly.task.model
        job = SimpleNamespace(
            batch_size=experiment.batch_size,
            epochs=experiment.epochs,
            order=functools.partial(_order, experiment, rows.rows),
        )
        getattr(peers, str(who.peer))(model, rows, validation, job, timer)
        _save(model, weights)
        return {
            "epochs": timer.seconds,
            "share": share,
            "digest": weights_digest(model),
            "jit": bool(model.jit_compile),
        }


def reference(experiment: Experiment, jit: bool, weights: Path) -> dict[str, Any]:
    """Train by `fit` on kerasx's batches, to compare bits with."""

    class InOrder(keras.utils.PyDataset):
        epoch = 0

        def __len__(self) -> int:
            return -(-rows.rows // experiment.batch_size)

        def __getitem__(self, index: int) -> Any:
            size = experiment.batch_size
            numbers = _order(experiment, rows.rows, self.epoch)[index * size : (index + 1) * size]
            return keras.tree.lists_to_tuples(map_arrays(lambda leaf: leaf[numbers], rows.data))

    with isolated(experiment.seed, experiment.precision):
        assembly = _assembled(experiment, jit=jit)
        rows, _ = arrays_of(assembly.dataset)
        batches, model = InOrder(), assembly.task.model
        epochs = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: setattr(batches, "epoch", epoch)
        )
        model.fit(batches, epochs=experiment.epochs, shuffle=False, callbacks=[epochs], verbose=0)
        _save(model, weights)
        return {"digest": weights_digest(model), "jit": bool(model.jit_compile)}


def _assembled(experiment: Experiment, *, jit: bool) -> Assembly:
    values = {"strategy": _Bare(), "execution": "graph", "jit": jit, "steps_per_call": None}
    return assemble(_as_measured(experiment).with_values(**values), Resolver(Registry()))


def _as_measured(experiment: Experiment) -> Experiment:
    """Without callbacks, which plain programs would have to call too, and which may end training."""
    return experiment.with_values(callbacks=())


@functools.lru_cache(1)
def _shuffled(seed: int, epoch: int, rows: int) -> Any:
    return batch_order(seed, epoch, rows)


def _order(experiment: Experiment, rows: int, epoch: int) -> Any:
    return _shuffled(experiment.seed, epoch, rows) if experiment.shuffle else np.arange(rows)


def _part(dataset: Dataset, share: float, batch_size: int) -> tuple[Dataset, float]:
    """About a share of the rows, in whole batches, and which share of the training rows that is."""

    def some(rows: Arrays) -> Arrays:
        count = min(rows.rows, max(1, round(rows.rows * share / batch_size)) * batch_size)
        parts = (rows.x, rows.y, rows.sample_weight)
        return Arrays(*(map_arrays(lambda leaf: leaf[:count], each) for each in parts))

    rows, validation = arrays_of(dataset)
    part = some(rows)
    return Dataset(part, None if validation is None else some(validation)), part.rows / rows.rows


def _save(model: keras.Model, path: Path) -> None:
    np.savez(path, *(keras.ops.convert_to_numpy(variable) for variable in model.variables))
