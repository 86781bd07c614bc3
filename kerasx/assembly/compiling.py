"""Compiles the model of an experiment, or changes on a compiled one what the experiment asks for."""

from __future__ import annotations

import warnings
from typing import Any

import keras

from kerasx.assembly.objectives import (
    Objectives,
    default_metrics,
    loss_component,
    make_loss,
    make_metrics,
)
from kerasx.assembly.optimizers import DEFAULT_OPTIMIZER, make_optimizer, set_learning_rate
from kerasx.assembly.outputs import Outputs
from kerasx.assembly.resolve import Resolver
from kerasx.errors import UsageError, one_line
from kerasx.experiment import Experiment
from kerasx.references import user_code_error
from kerasx.training.execution import Execution


def loss_for(experiment: Experiment, model: keras.Model, outputs: Outputs, resolver: Resolver) -> Any:
    """The loss that the experiment names, that a compiled model brought, or the article's.

    Raises:
        UsageError: There is no such loss, or it has to be named.
    """
    if experiment.loss is None and model.compiled:
        return model.loss
    return make_loss(loss_component(experiment), outputs, resolver)


def objectives_for(
    experiment: Experiment,
    model: keras.Model,
    loss: Any,
    outputs: Outputs,
    resolver: Resolver,
    *,
    own_step: bool,
) -> Objectives:
    """What the model is to be compiled with: the experiment's, then a compiled model's, then defaults.

    Raises:
        UsageError: An optimizer or metric is unknown, refuses an option, or does not fit the data.
    """
    if model.compiled and experiment.optimizer is None:
        optimizer = model.optimizer
        set_learning_rate(optimizer, experiment.learning_rate, resolver)
    else:
        component = experiment.optimizer or DEFAULT_OPTIMIZER
        optimizer = make_optimizer(component, experiment.learning_rate, resolver)
    weighted: Any = None
    notes: list[str] = []
    if experiment.weighted_metrics is not None:
        weighted, notes = make_metrics(experiment.weighted_metrics, outputs, resolver)
    if experiment.metrics is not None:
        metrics, said = make_metrics(experiment.metrics, outputs, resolver)
    elif model.compiled:
        metrics, said = None, []
    elif weighted:
        metrics, said = [], []
    else:
        metrics, said = default_metrics(outputs, resolver, own_step=own_step)
    _check_weights(experiment.loss_weights, outputs)
    return Objectives(optimizer, loss, metrics, weighted, (*said, *notes))


def _check_weights(weights: Any, outputs: Outputs) -> None:
    """Refuse loss weights that are for other outputs, which Keras may take for a factor of all."""
    if outputs.is_one:
        if isinstance(weights, dict) and not set(weights) <= set(outputs.names):
            raise UsageError("The model has one output: give `loss_weights` as a number.")
    elif isinstance(weights, dict):
        for name in weights:
            outputs.part(name, "loss weights")
    elif isinstance(weights, float):
        raise UsageError("The model has several outputs: give `loss_weights` one weight for each, by name.")


def compile_model(
    experiment: Experiment, model: keras.Model, objectives: Objectives, execution: Execution
) -> list[str]:
    """Compile the model, or set what the experiment asks for on one that arrived compiled.

    Returns:
        What Keras warned of.

    Raises:
        UsageError: What a compiled model brought cannot be kept beside what the experiment changes.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asked = ("loss", "loss_weights", "metrics", "weighted_metrics")
        if model.compiled and all(getattr(experiment, name) is None for name in asked):
            _change(model, objectives.optimizer, execution)
        else:
            _compile(model, objectives, experiment.loss_weights, execution)
    return [str(each.message).strip() for each in caught]


def _change(model: keras.Model, optimizer: Any, execution: Execution) -> None:
    """Change a compiled model without compiling it again, which would lose loss weights and metrics."""
    if _scales(model.optimizer) and not _scales(optimizer):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)  # as `compile` did
    model.optimizer = optimizer
    set_execution(model, execution)


def set_execution(model: keras.Model, execution: Execution) -> None:
    """Have the model execute its own functions in this way."""
    model.run_eagerly = execution.eager
    model.jit_compile = execution.jit
    model.steps_per_execution = execution.steps_per_call
    forget_functions(model)


def forget_functions(model: keras.Model) -> None:
    """Have the model make its functions anew: those that were traced before would be used as they are."""
    model.make_train_function(force=True)
    model.make_test_function(force=True)
    model.make_predict_function(force=True)


def _scales(optimizer: Any) -> bool:
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


def _compile(model: keras.Model, objectives: Objectives, loss_weights: Any, execution: Execution) -> None:
    def or_brought(name: str, asked: Any) -> Any:
        """What is asked for, or else what the model was compiled with."""
        if asked is not None or not model.compiled:
            return asked
        try:
            return keras.saving.deserialize_keras_object(model.get_compile_config().get(name))
        except Exception as error:
            raise UsageError(
                "The model was compiled with objects that Keras cannot write down, so that its"
                f" `{name}` cannot be kept beside what is replaced: {one_line(error)}. Compile it with"
                " what you want."
            ) from error

    if isinstance(loss_weights, tuple):
        loss_weights = list(loss_weights)
    elif isinstance(loss_weights, dict) and isinstance(objectives.loss, dict):
        # Keras wants a weight for each loss.
        loss_weights = {name: loss_weights.get(name, 1.0) for name in objectives.loss}
    loss_weights = or_brought("loss_weights", loss_weights)
    # None rather than an empty list, which makes Keras ask for results that nobody measures.
    metrics = or_brought("metrics", objectives.metrics) or None
    weighted_metrics = or_brought("weighted_metrics", objectives.weighted_metrics) or None
    try:
        model.compile(
            optimizer=objectives.optimizer,
            loss=objectives.loss,
            loss_weights=loss_weights,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            run_eagerly=execution.eager,
            steps_per_execution=execution.steps_per_call,
            jit_compile=execution.jit,
            # Keras does not keep what it was told; the optimizer shows it.
            auto_scale_loss=not model.compiled or _scales(model.optimizer),
        )
    except Exception as error:
        raise user_code_error(f"compiling the model `{model.name}`", error) from error
