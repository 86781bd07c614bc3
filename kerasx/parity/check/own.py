"""Grounds of scenarios for a model that brings its own architecture."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from kerasx.assembly.assemble import load_dataset
from kerasx.assembly.isolation import isolated
from kerasx.assembly.model import build_model
from kerasx.component import Component
from kerasx.data.arrays import Arrays, map_arrays
from kerasx.data.dataset import Dataset
from kerasx.data.signature import Signature
from kerasx.errors import UsageError
from kerasx.experiment import Experiment
from kerasx.parity.check.ground import Ground
from kerasx.parity.check.idioms import idioms_in
from kerasx.parity.check.subject import Subject
from kerasx.parity.check.tasks import Task, tasks_for
from kerasx.parity.sides import Named
from kerasx.registry import Registry

Rows = Callable[[int], tuple[Any, Any]]

# Where a model leaves a size open.
_SIZE = 6

# With which a scenario compiles a model, as `fit` needs it.
_COMPILED_WITH = (
    *("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics"),
    *("run_eagerly", "steps_per_execution", "jit_compile", "auto_scale_loss"),
)


def own_ground(subject: Subject, experiment: Experiment, registry: Registry) -> Ground:
    """What the scenarios of such a model are made on: its data and loss are named, or read off it.

    Raises:
        UsageError: The loss or the data has to be named, Keras's own step cannot train the model, or its code
            raises.
        PluginError: A plugin that was asked for fails.
    """
    own = Experiment(model=subject.own).model
    with isolated(experiment.seed, afresh=True):
        resolver = Named(subject.name, experiment).resolver(registry)
        named_data = "dataset" in experiment.model_fields_set
        dataset = load_dataset(experiment.dataset, resolver) if named_data else None
        # Without data there is nothing for a builder to adapt to.
        signature = Signature(None, None) if dataset is None else dataset.signature
        model = build_model(own, signature, resolver)
        _refuse_others(model, subject)
        idioms = idioms_in(model)  # here, while the module of its class is known
        loss = experiment.loss
        if loss is None and not model.compiled:
            raise UsageError(
                f"`{subject.name}` builds a model that is not compiled: name the loss that it is for, as in"
                " `--loss mean_squared_error`."
            )
        task = _compiled_task(model) if loss is None else _task_of(loss)
        if dataset is not None:
            return Ground(task, subject.make, subject.own, _rows_of(dataset, subject), idioms)
        if not getattr(model, "inputs", None):
            raise UsageError(
                f"`{subject.name}` does not tell the shape of its inputs: name the data that it is for, as in"
                " `--dataset mine.py:data` or `--dataset rows.npz`."
            )
        return Ground(task, subject.make, subject.own, _made_rows(model, task), idioms)


def _refuse_others(model: keras.Model, subject: Subject) -> None:
    """Refuse a model that Keras's own step cannot train, or no scenario can compile."""
    kind = type(model)
    if kind.call is keras.Model.call:
        raise UsageError(
            f"`{subject.name}` builds a `{kind.__name__}`, which has no `call`: its own step is all that can"
            " train it, and there is nothing that `fit` would do to compare with. Give the class a `call`,"
            " and name the loss of what that returns, as in `--loss mean_squared_error`."
        )
    try:
        inspect.signature(model.compile).bind(**dict.fromkeys(_COMPILED_WITH))
    except TypeError as error:
        raise UsageError(
            f"`{subject.name}` builds a `{kind.__name__}`, whose `compile` does not take all that Keras's"
            f" does ({error}), and scenarios compile it with optimizers and losses of theirs. Have it take"
            " `optimizer`, `loss` and `**others`, and hand them on to `super().compile`."
        ) from error


def _compiled_task(model: keras.Model) -> Task:
    """Of the loss that a model is compiled with, which an experiment does not name then."""
    name = _name_of(model.loss)
    return replace(tasks_for(Component(name=name))[0], loss=None, compiled=name)


def _name_of(loss: Any) -> str:
    if loss is None or isinstance(loss, str):
        return loss or "none"
    if isinstance(loss, list | tuple | dict):
        return "one for each output"
    return str(getattr(loss, "name", None) or getattr(loss, "__name__", None) or type(loss).__name__)


def _task_of(loss: Any) -> Task:
    return tasks_for(loss)[0] if isinstance(loss, Component) else Task("values", loss)


def _rows_of(dataset: Dataset, subject: Subject) -> Rows:
    rows = dataset.train
    if not isinstance(rows, Arrays):
        raise UsageError(f"A check of `{subject.name}` needs data as arrays, and this is a pipeline.")

    def some(number: int) -> tuple[Any, Any]:
        chosen = np.arange(number) % rows.rows
        return (
            map_arrays(lambda leaf: leaf[chosen], rows.x),
            map_arrays(lambda leaf: leaf[chosen], rows.y),
        )

    return some


def _made_rows(model: keras.Model, task: Task) -> Rows:
    """Random rows of the shapes that a model has."""

    def like(info: Any, number: int, rng: np.random.Generator) -> Any:
        shape = _shape(info, number)
        if "int" in str(info.dtype):
            return rng.integers(0, 4, shape).astype(info.dtype)
        return rng.normal(size=shape).astype("float32")

    def labels(info: Any, number: int, rng: np.random.Generator) -> Any:
        shape = _shape(info, number)
        classes = shape[-1]
        if task.form == "class numbers":
            return rng.integers(0, classes, shape[:-1])
        if task.form == "one-hot":
            return np.eye(classes, dtype="float32")[rng.integers(0, classes, shape[:-1])]
        if task.form == "yes or no":
            return rng.integers(0, 2, shape).astype("float32")
        return rng.normal(size=shape).astype("float32")

    def some(number: int) -> tuple[Any, Any]:
        rng = np.random.default_rng(number)
        structure = _as_one([like(info, number, rng) for info in model.inputs])
        outputs = _as_one([labels(info, number, rng) for info in model.outputs])
        return structure, outputs

    return some


def _shape(info: Any, rows: int) -> tuple[int, ...]:
    return (rows, *(_SIZE if size is None else size for size in info.shape[1:]))


def _as_one(parts: list[Any]) -> Any:
    """What a model of one input takes, or of several in their order."""
    return parts[0] if len(parts) == 1 else parts
