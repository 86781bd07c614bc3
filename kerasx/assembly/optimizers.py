"""The optimizer of an experiment, with its learning rate or schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras

from kerasx.assembly.keras_names import KerasNames
from kerasx.assembly.resolve import Found, Resolver, make, parameters_of, refuse_options
from kerasx.component import Component
from kerasx.errors import UsageError

DEFAULT_OPTIMIZER = Component(name="sgd")
_OPTIMIZERS = KerasNames(keras.optimizers, keras.optimizers.Optimizer)
_SCHEDULES = KerasNames(keras.optimizers.schedules, keras.optimizers.schedules.LearningRateSchedule)


def make_optimizer(component: Component, learning_rate: float | Component | None, resolver: Resolver) -> Any:
    """The optimizer a component names, with the experiment's learning rate where it has one.

    Raises:
        UsageError: There is no such optimizer or schedule, or it refuses an option.
    """
    found = resolver.find("optimizer", component, keras_names=_OPTIMIZERS)
    if isinstance(found.value, keras.optimizers.Optimizer):
        refuse_options(found, "optimizer")
        optimizer = found.value
        if optimizer.built:
            optimizer = fresh(optimizer)
        set_learning_rate(optimizer, learning_rate, resolver)
        return optimizer
    if not callable(found.value):
        raise UsageError(
            f"The optimizer `{component.described}` is {type(found.value).__name__}, not an optimizer."
        )
    takes_rate = found.is_keras or "learning_rate" in parameters_of(found.value)
    optimizer = make(_with_parts(found, learning_rate if takes_rate else None, resolver), "optimizer")
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise UsageError(f"The optimizer `{component.described}` returned {type(optimizer).__name__}.")
    if not takes_rate:
        set_learning_rate(optimizer, learning_rate, resolver)
    return optimizer


def fresh(optimizer: keras.optimizers.Optimizer) -> Any:
    """The same optimizer anew: one that has trained keeps slots for the variables of that model.

    Which variables are left out of weight decay is in no config, and there is no public way to ask.
    """
    made = type(optimizer).from_config(optimizer.get_config())
    for name in ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern"):
        if hasattr(optimizer, name):
            setattr(made, name, getattr(optimizer, name))
    return made


def set_learning_rate(
    optimizer: keras.optimizers.Optimizer, learning_rate: float | Component | None, resolver: Resolver
) -> None:
    """Give an optimizer the experiment's learning rate, where it has one.

    Raises:
        UsageError: The optimizer follows a schedule, which no number can replace; or there is no such
            schedule.
    """
    if learning_rate is None:
        return
    try:
        optimizer.learning_rate = _rate(learning_rate, resolver)
    except TypeError as error:
        raise UsageError(
            f"The optimizer {type(optimizer).__name__} follows a learning-rate schedule, which one number"
            " cannot replace: leave the learning rate out, or name another optimizer."
        ) from error


def _with_parts(found: Found, learning_rate: float | Component | None, resolver: Resolver) -> Found:
    """What was found, with the optimizer's own schedule and the optimizer that it wraps made."""
    options = dict(found.component.options)
    inner = options.get("inner_optimizer")
    if isinstance(inner, str | Mapping):
        component = _component(inner, "inner_optimizer")
        options["inner_optimizer"] = make_optimizer(component, learning_rate, resolver)
    elif learning_rate is not None:
        options.setdefault("learning_rate", learning_rate)
    rate = options.get("learning_rate")
    if isinstance(rate, str | Mapping | Component):
        options["learning_rate"] = _rate(_component(rate, "learning_rate"), resolver)
    return replace(found, component=found.component.model_copy(update={"options": options}))


def _component(given: str | Mapping[str, Any] | Component, option: str) -> Component:
    if isinstance(given, Component):
        return given
    table = {"name": given} if isinstance(given, str) else dict(given)
    name = table.pop("name", None)
    if not isinstance(name, str):
        raise UsageError(f"The optimizer's `{option}` is {given!r}: a table has to have a `name`.")
    return Component(name=name, options=table)


def _rate(rate: float | Component, resolver: Resolver) -> Any:
    """The number, or the schedule that a component names."""
    if not isinstance(rate, Component):
        return rate
    found = resolver.find("learning-rate schedule", rate, keras_names=_SCHEDULES)
    if isinstance(found.value, keras.optimizers.schedules.LearningRateSchedule) or not found.component.name:
        refuse_options(found, "learning-rate schedule")
        return found.value
    return make(found, "learning-rate schedule")
