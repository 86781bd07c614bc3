"""Chooses the strategy, the steps it calls and the execution, before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from pydantic import BaseModel, ValidationError

from kerasx.assembly.resolve import Found, Resolver
from kerasx.errors import PluginError, UsageError, one_line, suggestion
from kerasx.experiment import Component, Experiment
from kerasx.training.adapters import LoopStrategy
from kerasx.training.distribution import is_distributed
from kerasx.training.execution import Execution
from kerasx.training.steps import (
    Step,
    kind_of_function,
    overrides,
    own_test_step,
    own_train_step,
    returning_logs,
)
from kerasx.training.strategy import StepStrategy

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

    def steps_for(self, model: keras.Model) -> tuple[Step | None, Step | None, str]:
        """The training step, the test step (None for the strategy's own) and which they are.

        A named step goes before the model's own, and that before the strategy's.
        """
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
        return ChosenStrategy(value, component.described)
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


def settle_execution(experiment: Experiment, chosen: ChosenStrategy, model: keras.Model) -> Execution:
    """The execution that the experiment, the strategy and a compiled model agree on.

    Raises:
        UsageError: The strategy does not offer it, or eager execution is to be compiled by XLA.
    """
    capabilities = chosen.strategy.capabilities
    brought = "eager" if model.compiled and model.run_eagerly else None
    mode = experiment.execution or brought or capabilities.executions[0]
    if mode not in capabilities.executions:
        raise UsageError(
            f"The strategy `{chosen.name}` has no execution `{mode}`. It has:"
            f" {', '.join(capabilities.executions)}."
        )
    if experiment.jit and mode == "eager":
        raise UsageError(
            "XLA compiles graphs, and eager execution has none: use --execution graph with --jit, or leave"
            " --jit out."
        )
    if experiment.jit and not capabilities.jit:
        raise UsageError(f"The strategy `{chosen.name}` cannot be compiled by XLA: leave --jit out.")
    if (experiment.devices or 1) > 1:
        if not capabilities.distribution:
            raise UsageError(f"The strategy `{chosen.name}` trains on one device: leave --devices out.")
        if not is_distributed(model):
            raise UsageError(
                f"The model `{model.name}` was built before it was to train on {experiment.devices} devices:"
                " name a function that builds it."
            )
    if experiment.jit and is_distributed(model):
        raise UsageError(
            "XLA does not compile a step that runs on several devices: leave --jit or --devices out."
        )
    if experiment.jit is not None:
        return Execution(mode, experiment.jit)
    if mode == "eager" or not capabilities.jit:
        return Execution(mode, False)
    # Keras's own rule, which is off on a CPU.
    return Execution(mode, bool(model.jit_compile))


def _with_options(found: Found, strategy: type[StepStrategy], resolver: Resolver) -> ChosenStrategy:
    name = found.component.described
    options = _validated(name, strategy.options_type, found.component.options)
    try:
        instance = strategy(options)
    except Exception as error:
        if found.registration is None:
            raise
        raise PluginError(f"The strategy `{name}` failed: {one_line(error)}") from error
    train = _step(getattr(options, "step", None), resolver)
    test = _step(getattr(options, "test_step", None), resolver)
    return ChosenStrategy(instance, name, train, test, getattr(options, "step", None))


def _driver(resolver: Resolver) -> tuple[Found, type[StepStrategy]]:
    component = Component(name=STEP_DRIVER)
    if resolver.registry.find("strategy", STEP_DRIVER) is None:
        raise UsageError(
            f"A step function is driven by the strategy `{STEP_DRIVER}`, which is not installed:"
            " pip install kerasx-custom-step"
        )
    found = resolver.find("strategy", component)
    return found, found.value


def _step(reference: str | None, resolver: Resolver) -> Step | None:
    if reference is None:
        return None
    function: Any = resolver.references.load(reference)
    if not callable(function):
        raise UsageError(f"`{reference}` is {type(function).__name__}, not a step function (model, data).")
    kind_of_function(function, reference)
    return returning_logs(function, reference)


def _validated(name: str, options_type: type[BaseModel], given: dict[str, Any]) -> BaseModel:
    try:
        return options_type.model_validate(given)
    except ValidationError as error:
        lines = []
        for each in error.errors(include_url=False):
            place = ".".join(str(part) for part in each["loc"])
            if each["type"] == "extra_forbidden":
                known = suggestion(place, options_type.model_fields, what="options")
                lines.append(f"has no option `{place}`. {known}")
            else:
                lines.append(f"has the option `{place}`, which cannot be {each['input']!r}: {each['msg']}.")
        raise UsageError(f"The strategy `{name}` " + " It ".join(lines)) from error
