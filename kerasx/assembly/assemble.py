"""Assembles a task: everything resolved, built, compiled and checked, before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from kerasx.assembly.choose import ChosenStrategy, choose_strategy
from kerasx.assembly.compiling import compile_model, forget_functions, loss_for, objectives_for
from kerasx.assembly.data_checks import check_finite, check_finite_labels, told_of
from kerasx.assembly.execution import executions, prepare
from kerasx.assembly.label_checks import check_labels, class_of_loss, encodes_labels
from kerasx.assembly.model import build_model, built, load_weights, policy_of
from kerasx.assembly.objectives import ACCURACY, Objectives, loss_component
from kerasx.assembly.optimizers import DEFAULT_OPTIMIZER
from kerasx.assembly.outputs import outputs_of
from kerasx.assembly.resolve import Found, Resolver, make, refuse_options
from kerasx.component import Component
from kerasx.data.batches import training_batches, validation_batches
from kerasx.data.codes import forget_ready
from kerasx.data.dataset import Dataset, as_dataset
from kerasx.data.labels import class_weighted, one_hot
from kerasx.data.signature import LabelInfo, Signature, TensorInfo
from kerasx.data.sources import dataset_from_npz
from kerasx.errors import UsageError
from kerasx.experiment import Experiment
from kerasx.training.distribution import distribution_scope
from kerasx.training.task import TrainingTask


@dataclass
class Assembly:
    """An experiment, resolved.

    Attributes:
        experiment: With everything filled in that was left open.
        task: What the strategy trains.
        chosen: The strategy, and the steps it calls.
        dataset: As the steps see it, labels encoded where they are.
        resolver: Who answered for what.
        brought_execution: `run_eagerly`, `jit_compile` and `steps_per_execution` of the model as it arrived.
        notes: What was chosen and why.
        compile_seconds: What tracing and compiling took, where it was done beforehand.
    """

    experiment: Experiment
    task: TrainingTask
    chosen: ChosenStrategy
    dataset: Dataset
    resolver: Resolver
    brought_execution: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    compile_seconds: float = 0.0

    def put_execution_back(self) -> None:
        """How this run executed the model is not how the next one has to."""
        _put_back(self.task.model, self.brought_execution)


def _put_back(model: keras.Model, execution: dict[str, Any]) -> None:
    for name, value in execution.items():
        setattr(model, name, value)
    forget_functions(model)


def load_dataset(component: Component, resolver: Resolver) -> Dataset:
    """The data a component names: registered, an `.npz` file, by reference, or arrays.

    Raises:
        UsageError: There is no such data, or it has another form.
        PluginError: The plugin that provides it fails.
    """
    if component.name is not None and component.name.endswith(".npz"):
        refuse_options(Found(None, component), "data set")
        return dataset_from_npz(resolver.references.path(component.name))
    found = resolver.find("dataset", component)
    value = make(found, "dataset") if callable(found.value) else found.value
    return as_dataset(value, f"The data set `{component.described}`")


def assemble(
    experiment: Experiment,
    resolver: Resolver,
    *,
    adjust: Callable[[TrainingTask], None] | None = None,
    trains: bool = True,
    measures: bool = True,
) -> Assembly:
    """Resolve, build, compile and check an experiment; nothing is trained and nothing is written.

    Runs inside `isolated`, whose seed the initial weights come from.

    Args:
        experiment: The declaration.
        resolver: Finds components and remembers who answered.
        adjust: Changes the task before the strategy prepares for it.
        trains: Whether the task will be trained, or evaluated alone.
        measures: Whether a metric is measured that nobody named.

    Raises:
        UsageError: Something in the experiment is unknown, does not fit, or raises.
        PluginError: A plugin that was asked for fails.
    """
    if resolver.ahead is None:
        forget_ready()  # codes of what another run loaded ahead
    with distribution_scope(experiment.devices):
        return _assemble(experiment, resolver, adjust or (lambda task: None), trains, measures)


def _assemble(
    experiment: Experiment,
    resolver: Resolver,
    adjust: Callable[[TrainingTask], None],
    trains: bool,
    measures: bool,
) -> Assembly:
    notes: list[str] = []
    if experiment.objects:
        notes.append(
            "experiment.toml alone does not repeat this run: objects were handed over for"
            f" {', '.join(experiment.objects)}"
        )
    chosen = choose_strategy(experiment.strategy, resolver)
    dataset = load_dataset(experiment.dataset, resolver)
    notes += told_of(dataset, experiment)
    if experiment.validation_split is not None:
        dataset = dataset.split(experiment.validation_split)
    model = build_model(experiment.model, dataset.signature, resolver)
    _check_precision(experiment, model)
    brings_objectives = bool(model.compiled)
    brought_execution = {"run_eagerly": False, "jit_compile": None, "steps_per_execution": 1}
    if brings_objectives:
        brought_execution = {name: getattr(model, name) for name in brought_execution}
    signature = built(model, dataset.signature)
    if dataset.validation is not None:
        built(model, Dataset(dataset.validation).signature)
    if experiment.initial_weights is not None:
        load_weights(model, resolver.references.path(str(experiment.initial_weights)))

    loss = loss_for(experiment, model, outputs_of(model, signature), resolver)
    if class_of_loss(loss) is not None:
        check_finite_labels(dataset)
    if experiment.labels == "one-hot" or encodes_labels(loss, signature.labels, signature.outputs):
        dataset = _with_one_hot(dataset, signature)
        signature = replace(dataset.signature, outputs=signature.outputs)
        notes.append(
            f"labels are encoded as one-hot rows {signature.labels.described}, once, for all strategies"
        )
    check_labels(loss, signature)
    if experiment.class_weight:
        dataset = class_weighted(dataset, experiment.class_weight)

    batches = training_batches(
        dataset.train, experiment.batch_size, experiment.seed, shuffle=experiment.shuffle
    )
    choices = executions(experiment, chosen, model, batches.steps, trains=trains)
    objectives = objectives_for(
        experiment,
        model,
        loss,
        outputs_of(model, signature),
        resolver,
        own_step=not measures or chosen.has_own_step(model),
    )
    notes += [*objectives.notes, *compile_model(experiment, model, objectives, choices[0])]
    notes += check_finite(model, dataset, experiment.batch_size, own_step=chosen.has_own_step(model))
    if not model.jit_compile:
        # Keras leaves jit out by itself where a layer cannot be compiled, and says so.
        choices = list(dict.fromkeys(replace(each, jit=False) for each in choices))

    train_step, test_step, said = chosen.steps_for(model)
    notes.append(said)
    if dataset.validation is None:
        notes.append("no validation: the data set has no test rows")
    task = TrainingTask(
        model=model,
        batches=batches,
        validation=None
        if dataset.validation is None
        else validation_batches(dataset.validation, experiment.batch_size),
        callbacks=[],
        epochs=experiment.epochs,
        execution=choices[0],
        train_step=train_step,
        test_step=test_step,
    )
    adjust(task)
    try:
        with ThreadPoolExecutor(1) as pool:
            # While the step compiles; the run's record will ask for it.
            pool.submit(lambda: dataset.digest if trains else None)
            fell_back, compile_seconds = prepare(task, chosen, choices, trains=trains)
    except BaseException:
        _put_back(model, brought_execution)
        raise
    complete = _completed(experiment, task, brings_objectives, objectives)
    return Assembly(
        complete, task, chosen, dataset, resolver, brought_execution, [*notes, *fell_back], compile_seconds
    )


def _arrives_built(experiment: Experiment) -> bool:
    return experiment.model.is_object or str(experiment.model.name).endswith(".keras")


def _check_precision(experiment: Experiment, model: keras.Model) -> None:
    """Refuse a precision that comes after the model was built."""
    if _arrives_built(experiment) and experiment.precision not in (None, policy_of(model)):
        raise UsageError(
            f"The model `{model.name}` is already built with the precision {policy_of(model)}, which"
            f" `{experiment.precision}` cannot change: build it with that precision, or name a function that"
            " builds it."
        )


def _with_one_hot(dataset: Dataset, signature: Signature) -> Dataset:
    outputs = signature.outputs
    units = outputs.shape[-1] if isinstance(outputs, TensorInfo) and len(outputs.shape) > 1 else None
    if units is None and isinstance(signature.labels, LabelInfo):
        units = signature.labels.classes
    return one_hot(dataset, units or 1)


def _completed(
    experiment: Experiment, task: TrainingTask, brings_objectives: bool, objectives: Objectives
) -> Experiment:
    """The experiment with what was left open filled in, so that its file alone repeats the run.

    What a compiled model brought stays open: it comes with the model again.
    """
    values: dict[str, Any] = {
        "execution": task.execution.mode,
        "jit": task.execution.jit,
        "steps_per_call": task.execution.steps_per_call
        if task.execution.fused
        else experiment.steps_per_call,
        "devices": experiment.devices or 1,
    }
    if not _arrives_built(experiment):
        values["precision"] = keras.config.dtype_policy().name
    if not brings_objectives:
        values["loss"] = loss_component(experiment)
        values["optimizer"] = experiment.optimizer or DEFAULT_OPTIMIZER
        if experiment.metrics is None:
            values["metrics"] = (ACCURACY,) if objectives.metrics else ()
        if not values["optimizer"].is_object and (rate := _constant_rate(task.optimizer)) is not None:
            values["learning_rate"] = rate
    return experiment.with_values(**values)


def _constant_rate(optimizer: Any) -> float | None:
    """The learning rate as it was written, where it is one number and no schedule."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    try:
        rate = optimizer.get_config().get("learning_rate")
    except NotImplementedError:  # of a user's schedule that cannot be written down
        return None
    # The shortest decimal that is this float32: 0.01, not 0.009999999776482582.
    return float(str(np.float32(rate))) if isinstance(rate, float) else None
