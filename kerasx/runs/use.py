"""Uses the model of a run that is on disk: evaluate, predict, export."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasx.assembly.assemble import assemble, load_dataset
from kerasx.assembly.model import build_model, built, load_model
from kerasx.assembly.resolve import Resolver
from kerasx.data.arrays import as_dataset
from kerasx.data.sources import load_npz
from kerasx.errors import UsageError, one_line, suggestion
from kerasx.experiment import Component, Experiment
from kerasx.references import References, is_reference
from kerasx.registry import Registry
from kerasx.runs.directory import MODEL, WEIGHTS, RunDirectory
from kerasx.runs.files import replace_file
from kerasx.runs.isolation import isolated

FORMATS = {"keras": ".keras", "weights": ".weights.h5", "saved-model": ""}


def evaluate(directory: RunDirectory, registry: Registry, dataset: Any = None) -> dict[str, Any]:
    """Evaluate a run's model; see `Engine.evaluate`."""
    experiment = directory.experiment
    values: dict[str, Any] = {"callbacks": (), "initial_weights": None, "precision": None, "devices": None}
    if dataset is not None:
        # Named here and now, so its path starts from here, not from where the run was started.
        given = experiment.with_values(dataset=dataset).dataset
        values["dataset"] = load_dataset(given, Resolver(registry))
    elif _was_object(experiment.dataset):
        raise UsageError(
            f"The data of {directory.name} was handed over as an object, which no file keeps: name data with"
            " --dataset, or `dataset=` from code."
        )
    with isolated(experiment.seed, experiment.precision):
        resolver = _resolver(directory, registry)
        # What was handed over as an object comes back with the model, which was saved compiled.
        objectives = (experiment.loss, *(experiment.metrics or ()))
        compiled = experiment.loss is None or any(_was_object(each) for each in objectives)
        if _was_object(experiment.strategy) or any(
            map(_is_placeholder, experiment.strategy.options.values())
        ):
            values["strategy"] = Experiment().strategy
        if compiled:
            values |= {"loss": None, "metrics": None, "optimizer": None}
        elif experiment.optimizer is not None and _was_object(experiment.optimizer):
            values["optimizer"] = "sgd"  # evaluation does not use it
        values["model"] = _model(directory, experiment, resolver, compile=compiled)
        assembly = assemble(experiment.with_values(**values), resolver)
        task = assembly.task
        batches = task.validation or task.batches
        return assembly.chosen.strategy.evaluate(task, batches)


def predict(directory: RunDirectory, registry: Registry, x: Any) -> Any:
    """The outputs of a run's model; see `Engine.predict`."""
    experiment = directory.experiment
    with isolated(experiment.seed, experiment.precision):
        model = _model(directory, experiment, _resolver(directory, registry))
        rows = as_dataset((x,), "The input")
        built(model, rows.signature)
        return model.predict(rows.train.x, batch_size=experiment.batch_size, verbose=0)


def predict_file(
    directory: RunDirectory, registry: Registry, source: Path, target: Path
) -> dict[str, tuple[int, ...]]:
    """Predict from one npz file into another; see `Engine.predict_file`."""
    arrays = load_npz(source)
    _check_target(target, ".npz")
    only = next(iter(arrays.values())) if len(arrays) == 1 else arrays.get("x")
    outputs = predict(directory, registry, arrays if only is None else only)
    if isinstance(outputs, dict):
        named = outputs
    elif isinstance(outputs, list | tuple):
        named = {f"predictions_{number}": each for number, each in enumerate(outputs)}
    else:
        named = {"predictions": outputs}
    replace_file(target, lambda temporary: np.savez(temporary, **named))
    return {name: tuple(array.shape) for name, array in named.items()}


def export(directory: RunDirectory, registry: Registry, path: Path, format: str | None) -> Path:
    """Write a run's model; see `Engine.export`."""
    chosen = format or next(
        (name for name, ending in FORMATS.items() if ending and path.name.endswith(ending)), None
    )
    if chosen not in FORMATS:
        if format is not None:
            raise UsageError(f"There is no format `{format}`. {suggestion(format, FORMATS, what='formats')}")
        raise UsageError(f"The ending of `{path}` names no format: give --format {', '.join(FORMATS)}.")
    _check_target(path, FORMATS[chosen])
    experiment = directory.experiment
    with isolated(experiment.seed, experiment.precision):
        model = _model(directory, experiment, _resolver(directory, registry))
        try:
            if chosen == "saved-model":
                model.export(path, format="tf_saved_model", verbose=False)
            else:
                replace_file(path, model.save if chosen == "keras" else model.save_weights)
        except (TypeError, ValueError, NotImplementedError, OSError) as error:
            raise UsageError(f"The model cannot be written as {chosen}: {one_line(error)}") from error
    return path


def _model(
    directory: RunDirectory, experiment: Experiment, resolver: Resolver, *, compile: bool = False
) -> keras.Model:
    """The trained model of a run: its file, or rebuilt from its reference with its weights."""
    _load_user_code(experiment, resolver)
    whole, weights = directory.path / MODEL, directory.path / WEIGHTS
    if whole.is_file():
        return load_model(whole, compile=compile)
    if not weights.is_file():
        raise UsageError(f"{directory.name} has no model: its status is {directory.summary.get('status')}.")
    if _was_object(experiment.model):
        raise UsageError(
            f"The model of {directory.name} was handed over as an object that cannot be saved whole: build it"
            f" and load {weights}."
        )
    dataset = load_dataset(experiment.dataset, resolver)
    model = build_model(experiment.model, dataset.signature, resolver)
    built(model, dataset.signature)
    try:
        model.load_weights(weights)
    except Exception as error:
        raise UsageError(
            f"The weights of {directory.name} do not fit what `{experiment.model.described}` builds now:"
            f" {one_line(error)}"
        ) from error
    return model


def _resolver(directory: RunDirectory, registry: Registry) -> Resolver:
    return Resolver(registry, References(directory.working_directory))


def _load_user_code(experiment: Experiment, resolver: Resolver) -> None:
    """Load the user's own modules, in which a saved model looks for its classes and functions."""
    parts = (experiment.model, experiment.loss, *(experiment.metrics or ()), experiment.strategy)
    for part in parts:
        if part is not None and part.name is not None and is_reference(part.name):
            resolver.references.load(part.name)


def _check_target(path: Path, ending: str) -> None:
    """Refuse a path that cannot or must not be written, before time is spent."""
    if not path.name.endswith(ending):
        raise UsageError(f"The name of the file to write has to end with {ending}, and `{path}` does not.")
    if path.exists():
        raise UsageError(f"`{path}` exists: nothing is overwritten.")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UsageError(f"There is no folder `{path.parent}` that can be written to.")


def _was_object(component: Component | None) -> bool:
    return component is not None and (component.is_object or _is_placeholder(component.described))


def _is_placeholder(text: object) -> bool:
    """Whether an experiment file has this in place of an object that was handed over."""
    return isinstance(text, str) and text.startswith("<") and text.endswith(">")
