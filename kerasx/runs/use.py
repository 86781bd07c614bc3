"""Uses the model of a run that is on disk: evaluate, predict, export."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kerasx.assembly.assemble import assemble, load_dataset
from kerasx.assembly.blame import training_error
from kerasx.assembly.isolation import isolated
from kerasx.assembly.model import build_model, built, load_model
from kerasx.assembly.resolve import Resolver
from kerasx.data.arrays import Arrays, checked
from kerasx.data.batches import validation_batches
from kerasx.data.finite import non_finite_in
from kerasx.data.signature import Signature
from kerasx.data.sources import load_npz
from kerasx.errors import KerasxError, UsageError, one_line, suggestion
from kerasx.experiment import Experiment
from kerasx.files import replace_file
from kerasx.references import References
from kerasx.registry import Registry
from kerasx.runs.directory import MODEL, WEIGHTS, RunDirectory
from kerasx.training.execution import Execution
from kerasx.training.prediction import run_prediction

if TYPE_CHECKING:
    from kerasx.runs.reporter import Reporter

FORMATS = {"keras": ".keras", "weights": ".weights.h5", "saved-model": ""}


def evaluate(
    directory: RunDirectory, registry: Registry, dataset: Any = None, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Evaluate a run's model; see `Engine.evaluate`."""
    experiment = directory.experiment
    training = ("initial_weights", "precision", "devices", "class_weight")
    values: dict[str, Any] = {"callbacks": (), **dict.fromkeys(training)}
    if dataset is not None:
        values |= {"dataset": dataset, "validation_split": None}
    elif experiment.dataset.was_object:
        raise UsageError(
            f"The data of {directory.name} was handed over as an object, which no file keeps: name data with"
            " --dataset, or `dataset=` from code."
        )
    with isolated(experiment.seed, experiment.precision), _using(directory, registry, reporter) as resolver:
        if dataset is not None:
            # Named here and now, so its path starts from here, not from where the run was started.
            given = experiment.with_values(dataset=dataset).dataset
            values["dataset"] = load_dataset(given, Resolver(registry))
            experiment = experiment.with_values(dataset=values["dataset"])
        if experiment.strategy.was_object:
            values["strategy"] = Experiment().strategy
        # A model that was saved whole brings back what it was compiled with, objects and all.
        values["model"], is_whole = _model(directory, experiment, resolver, compile=True)
        if is_whole and values["model"].compiled:
            brought = ("loss", "loss_weights", "metrics", "weighted_metrics", "optimizer", "learning_rate")
            values |= dict.fromkeys(brought)
        elif not values["model"].compiled:
            values |= {"optimizer": "sgd", "learning_rate": None}  # evaluation uses neither
        assembly = assemble(experiment.with_values(**values), resolver, trains=False)
        task = assembly.task
        if task.validation is None and dataset is None:
            raise UsageError(
                f"{directory.name} has no validation rows to evaluate on: name data with --dataset, or"
                " `dataset=` from code."
            )
        try:
            # In the order of the rows, on which depends what Keras reports of several outputs.
            rows = validation_batches(assembly.dataset.train, experiment.batch_size)
            return assembly.chosen.strategy.evaluate(task, task.validation or rows)
        except KerasxError:
            raise
        except Exception as error:
            raise training_error(error, resolver, "Evaluation failed") from error


def predict(directory: RunDirectory, registry: Registry, x: Any, reporter: Reporter | None = None) -> Any:
    """The outputs of a run's model; see `Engine.predict`."""
    return _predicted(directory, registry, lambda model: x, reporter)


def _predicted(
    directory: RunDirectory,
    registry: Registry,
    inputs: Callable[[keras.Model], Any],
    reporter: Reporter | None,
) -> Any:
    experiment = directory.experiment
    with isolated(experiment.seed, experiment.precision), _using(directory, registry, reporter) as resolver:
        model, _ = _model(directory, experiment, resolver)
        rows = checked(Arrays(inputs(model)), "The input", "input")
        built(model, Signature(rows.inputs))
        if reporter is not None:
            for found in non_finite_in(rows):
                reporter.note(f"{found.described}: what is predicted of such rows may be no number either")
        try:
            batches = validation_batches(Arrays(rows.x), experiment.batch_size)
            execution = Execution(experiment.execution or "graph", bool(experiment.jit))
            return run_prediction(model, batches, execution)
        except Exception as error:
            raise UsageError(f"Prediction failed: {one_line(error)}") from error


def _inputs(model: keras.Model, arrays: dict[str, Any]) -> Any:
    """The only array, all that the model's inputs are called by, or the array `x` among others."""
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    names = {each.name for each in keras.tree.flatten(getattr(model, "inputs", None) or [])}
    if len(names) > 1 and names <= set(arrays):
        return {name: arrays[name] for name in names}
    return arrays.get("x", arrays)


def predict_file(
    directory: RunDirectory, registry: Registry, source: Path, target: Path, reporter: Reporter | None = None
) -> dict[str, tuple[int, ...]]:
    """Predict from one npz file into another; see `Engine.predict_file`."""
    arrays = load_npz(source)
    _check_target(target, ".npz")
    outputs = _predicted(directory, registry, lambda model: _inputs(model, arrays), reporter)
    if isinstance(outputs, dict):
        named = outputs
    elif isinstance(outputs, list | tuple):
        named = {f"predictions_{number}": each for number, each in enumerate(outputs)}
    else:
        named = {"predictions": outputs}
    replace_file(target, lambda temporary: np.savez(temporary, **named))
    return {name: tuple(array.shape) for name, array in named.items()}


def export(
    directory: RunDirectory,
    registry: Registry,
    path: Path,
    format: str | None,
    reporter: Reporter | None = None,
) -> Path:
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
    with isolated(experiment.seed, experiment.precision), _using(directory, registry, reporter) as resolver:
        model, _ = _model(directory, experiment, resolver)
        try:
            if chosen == "saved-model":
                model.export(path, format="tf_saved_model", verbose=False)
            else:
                replace_file(path, model.save if chosen == "keras" else model.save_weights)
        except (TypeError, ValueError, NotImplementedError, OSError) as error:
            raise UsageError(f"The model cannot be written as {chosen}: {one_line(error)}") from error
    return path


def trained_model(directory: RunDirectory, experiment: Experiment, resolver: Resolver) -> keras.Model:
    """The trained model of a run, from its file or rebuilt with its weights.

    Raises:
        UsageError: It is kept nowhere, or cannot be made again.
        PluginError: A plugin that was asked for fails.
    """
    return _model(directory, experiment, resolver)[0]


def _model(
    directory: RunDirectory, experiment: Experiment, resolver: Resolver, *, compile: bool = False
) -> tuple[keras.Model, bool]:
    """The trained model of a run, and whether it is from its file or rebuilt with its weights."""
    whole, weights = directory.path / MODEL, directory.path / WEIGHTS
    kept = whole if whole.is_file() else weights
    if not kept.is_file():
        raise UsageError(f"{directory.name} has no model: its status is {directory.summary.get('status')}.")
    if kept is whole:
        try:
            return load_model(whole, compile=compile), True
        except UsageError:
            # Keras's safe mode loads no class or function of a user's; those come with the reference.
            brought = experiment.loss is None or experiment.metrics is None
            if experiment.model.was_object and compile and not brought:
                return load_model(whole, compile=False), True
            if experiment.model.was_object:
                raise
    if experiment.model.was_object:
        raise UsageError(
            f"The model of {directory.name} was handed over as an object that cannot be saved whole: build it"
            f" and load {weights}."
        )
    if experiment.dataset.was_object and not experiment.dataset.is_object:
        raise UsageError(
            f"The model of {directory.name} has to be rebuilt for its data, which was handed over as an"
            " object and is in no file."
        )
    dataset = load_dataset(experiment.dataset, resolver)
    model = build_model(experiment.model, dataset.signature, resolver)
    built(model, dataset.signature)
    try:
        model.load_weights(kept)
    except Exception as error:
        raise UsageError(
            f"The weights of {directory.name} do not fit what `{experiment.model.described}` builds now:"
            f" {one_line(error)}"
        ) from error
    return model, False


@contextlib.contextmanager
def _using(directory: RunDirectory, registry: Registry, reporter: Reporter | None) -> Iterator[Resolver]:
    """What finds the run's components again; names the user's code that has changed since the run."""
    resolver = Resolver(registry, References(directory.working_directory))
    recorded = directory.environment.get("sources", {})

    def changed() -> list[str]:
        present = resolver.references.sources()
        return [path for path, digest in present.items() if recorded.get(path, digest) != digest]

    try:
        with warnings.catch_warnings():
            # What is loaded is used, not trained on: the state of the optimizer does not matter.
            warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
            yield resolver
    except UsageError as error:
        if changed():
            said = f"{error} (Changed since {directory.name}: {', '.join(changed())}.)"
            raise UsageError(said, details=error.details) from error
        raise
    if reporter is not None:
        for path in changed():
            reporter.note(f"`{path}` has changed since {directory.name}: what it says now was used")


def _check_target(path: Path, ending: str) -> None:
    """Refuse a path that cannot or must not be written, before time is spent."""
    if not path.name.endswith(ending):
        raise UsageError(f"The name of the file to write has to end with {ending}, and `{path}` does not.")
    if path.exists():
        raise UsageError(f"`{path}` exists: nothing is overwritten.")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UsageError(f"There is no folder `{path.parent}` that can be written to.")
