"""Compiles the model of an experiment, or changes on a compiled one what the experiment asks for."""

from __future__ import annotations

import warnings
from typing import Any

import keras

from kerasx.assembly.objectives import (
    DEFAULT_OPTIMIZER,
    Objectives,
    loss_component,
    make_loss,
    make_metrics,
    make_optimizer,
    set_learning_rate,
)
from kerasx.assembly.resolve import Resolver
from kerasx.data.signature import Signature
from kerasx.errors import UsageError, one_line
from kerasx.experiment import Experiment
from kerasx.references import user_code_error
from kerasx.training.execution import Execution


def loss_for(experiment: Experiment, model: keras.Model, signature: Signature, resolver: Resolver) -> Any:
    """The loss that the experiment names, that a compiled model brought, or the article's.

    Raises:
        UsageError: There is no such loss, or it has to be named.
    """
    if experiment.loss is None and model.compiled:
        return model.loss
    return make_loss(loss_component(experiment), signature, resolver)


def objectives_for(
    experiment: Experiment,
    model: keras.Model,
    loss: Any,
    signature: Signature,
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
        set_learning_rate(optimizer, experiment.learning_rate)
    else:
        component = experiment.optimizer or DEFAULT_OPTIMIZER
        optimizer = make_optimizer(component, experiment.learning_rate, resolver)
    if model.compiled and experiment.metrics is None:
        return Objectives(optimizer, loss, None)
    metrics, notes = make_metrics(experiment.metrics, signature, resolver, own_step=own_step)
    return Objectives(optimizer, loss, metrics, tuple(notes))


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
        if model.compiled and experiment.loss is None and experiment.metrics is None:
            _change(model, objectives.optimizer, execution)
        else:
            _compile(model, objectives, execution)
    return [str(each.message).strip() for each in caught]


def _change(model: keras.Model, optimizer: Any, execution: Execution) -> None:
    """Change a compiled model without compiling it again, which would lose loss weights and metrics."""
    scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if model.dtype_policy.name == "mixed_float16" and not scales:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)  # as `compile` does
    model.optimizer = optimizer
    model.run_eagerly = execution.eager
    model.jit_compile = execution.jit
    # Functions that were traced before would be used again as they are.
    model.make_train_function(force=True)
    model.make_test_function(force=True)
    model.make_predict_function(force=True)


def _compile(model: keras.Model, objectives: Objectives, execution: Execution) -> None:
    brought: dict[str, Any] = {}
    if model.compiled:
        try:
            brought = keras.saving.deserialize_keras_object(model.get_compile_config())
        except Exception as error:
            raise UsageError(
                "The model was compiled with objects that Keras cannot write down, so that its loss or"
                f" metrics cannot be replaced: {one_line(error)}. Compile it with what you want."
            ) from error
    try:
        model.compile(
            optimizer=objectives.optimizer,
            loss=objectives.loss,
            loss_weights=brought.get("loss_weights"),
            # None rather than an empty list, which makes Keras ask for results that nobody measures.
            metrics=(brought.get("metrics") if objectives.metrics is None else objectives.metrics) or None,
            weighted_metrics=brought.get("weighted_metrics"),
            run_eagerly=execution.eager,
            jit_compile=execution.jit,
        )
    except Exception as error:
        raise user_code_error(f"compiling the model `{model.name}`", error) from error
