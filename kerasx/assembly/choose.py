"""Chooses the strategy and the steps it calls, before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from pydantic import BaseModel, ValidationError

from kerasx.assembly.resolve import Found, Resolver, refuse_options
from kerasx.component import Component
from kerasx.errors import PluginError, UsageError, one_line, suggestion
from kerasx.references import user_code_error
from kerasx.training.adapters import LoopStrategy
from kerasx.training.steps import (
    Step,
    kind_of_function,
    overrides,
    own_test_step,
    own_train_step,
    returning_logs,
)
from kerasx.training.strategy import StepOptions, StepStrategy

STEP_DRIVER = "custom-step"
REFERENCE = "reference"


@dataclass(frozen=True)
class ChosenStrategy:
    """A strategy and the steps that were named for it.

    Attributes:
        strategy: The instance, with its options.
        name: As the user wrote it.
        train_step: The function that the user or a plugin named; None for none.
        test_step: The same for evaluation.
        step_name: What the named training step is called, for messages.
    """

    strategy: StepStrategy
    name: str
    train_step: Step | None = None
    test_step: Step | None = None
    step_name: str | None = None

    def has_own_step(self, model: keras.Model) -> bool:
        """Whether what trains is a step or a loop of the user's or of the model's."""
        is_loop = isinstance(self.strategy, LoopStrategy)
        return is_loop or self.train_step is not None or overrides(model, "train_step")

    def steps_for(self, model: keras.Model) -> tuple[Step | None, Step | None, str]:
        """The training step, the test step (None for the strategy's own) and which they are.

        A named step goes before the model's own, and that before the strategy's.
        """
        if isinstance(self.strategy, LoopStrategy):
            return None, self.test_step, f"loop: {self.name}"
        test = self.test_step or (own_test_step if overrides(model, "test_step") else None)
        if self.train_step is not None:
            return self.train_step, test, f"step: {self.step_name}"
        if overrides(model, "train_step"):
            return own_train_step, test, f"step: the model's own, {type(model).__name__}.train_step"
        return None, test, f"step: that of {self.name}"


def choose_strategy(component: Component, resolver: Resolver) -> ChosenStrategy:
    """The strategy a component names: registered, or a step, a loop or a class by reference.

    A step function needs something that drives it: that is `custom-step`, through `fit`.

    Raises:
        UsageError: There is no such strategy, or an option is wrong.
        PluginError: The plugin that provides it fails.
    """
    if component.name == REFERENCE:
        raise UsageError(
            f"`{REFERENCE}` is reserved for the reference step, which is no strategy to train with."
        )
    found = resolver.find("strategy", component)
    value = found.value
    if isinstance(value, StepStrategy):
        refuse_options(found, "strategy")
        return _with_steps(value, component.described, resolver)
    if isinstance(value, type) and issubclass(value, StepStrategy):
        return _with_options(found, value, resolver)
    if not callable(value) or isinstance(value, type):
        raise UsageError(
            f"The strategy `{component.described}` is {type(value).__name__}. It has to be a step"
            " (model, data), a loop over one epoch (model, batches), or a StepStrategy subclass."
        )
    if component.options:
        raise UsageError(f"The strategy `{component.described}` is a function and takes no options.")
    if kind_of_function(value, component.described) == "loop":
        return ChosenStrategy(LoopStrategy(value), component.described)
    driver = _with_options(*_driver(resolver), resolver)
    step = returning_logs(value, component.described)
    return ChosenStrategy(driver.strategy, component.described, step, None, component.described)


def _with_options(found: Found, strategy: type[StepStrategy], resolver: Resolver) -> ChosenStrategy:
    name = found.component.described
    options = _validated(name, strategy.options_type, found.component.options)
    # The record holds what is in force, not only what was said.
    resolver.answers[-1]["options"] = options.model_dump(mode="json", exclude_none=True, fallback=str)
    try:
        instance = strategy(options)
    except Exception as error:
        if found.registration is None:
            raise user_code_error(f"making the strategy `{name}`", error) from error
        raise PluginError(f"The strategy `{name}` failed: {one_line(error)}") from error
    return _with_steps(instance, name, resolver)


def _with_steps(strategy: StepStrategy, name: str, resolver: Resolver) -> ChosenStrategy:
    options = strategy.options
    if not isinstance(options, StepOptions):
        return ChosenStrategy(strategy, name)
    train, train_name = _step(options.step, "step", resolver)
    test, _ = _step(options.test_step, "test_step", resolver)
    return ChosenStrategy(strategy, name, train, test, train_name)


def _driver(resolver: Resolver) -> tuple[Found, type[StepStrategy]]:
    resolver.registry.get("strategy", STEP_DRIVER)
    found = resolver.find("strategy", Component(name=STEP_DRIVER))
    return found, found.value


def _step(named: Any, option: str, resolver: Resolver) -> tuple[Step | None, str | None]:
    """The step that an option names: a function, its reference, or a strategy that is a step."""
    if named is None:
        return None, None
    if not isinstance(named, str) and not callable(named):
        raise UsageError(
            f"The option `{option}` is {named!r}: name a step function (model, data), registered or by"
            " reference."
        )
    component = Component(name=named) if isinstance(named, str) else Component(value=named)
    function = resolver.find("strategy", component).value
    name = component.described if isinstance(named, str) else getattr(named, "__name__", component.described)
    if not callable(function) or isinstance(function, type | StepStrategy):
        raise UsageError(f"`{name}` is {type(function).__name__}, not a step function (model, data).")
    if kind_of_function(function, name) != "step":
        raise UsageError(f"`{name}` is a loop over batches, and a step (model, data) is asked for.")
    return returning_logs(function, name), name


def _validated(name: str, options_type: type[BaseModel], given: dict[str, Any]) -> BaseModel:
    unknown = [key for key in given if key not in options_type.model_fields]
    if unknown and options_type.model_config.get("extra") != "allow":
        known = suggestion(unknown[0], options_type.model_fields, what="options")
        raise UsageError(f"The strategy `{name}` has no option `{unknown[0]}`. {known}")
    try:
        return options_type.model_validate(given)
    except ValidationError as error:
        lines = []
        for each in error.errors(include_url=False):
            place = ".".join(str(part) for part in each["loc"])
            lines.append(f"has the option `{place}`, which cannot be {each['input']!r}: {each['msg']}.")
        raise UsageError(f"The strategy `{name}` " + " It ".join(lines)) from error
