"""What is checked: a step, a loop, a strategy, or a model with steps of its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from kerasx.assembly.isolation import isolated
from kerasx.errors import UsageError, one_line, suggestion
from kerasx.parity.check.idioms import Idiom, idioms_in
from kerasx.references import References, is_reference
from kerasx.registry import Registry
from kerasx.training.steps import kind_of_function
from kerasx.training.strategy import StepStrategy

# The attribute in which a step, or a class, says in what it is meant to differ.
EXPECTS = "kerasx_expect"


@dataclass(frozen=True)
class Subject:
    """What is checked.

    Attributes:
        name: As the user wrote it.
        kind: `strategy`, `step`, `loop`, `model class`, or `model` for one with an architecture of its own.
        strategy: What trains, as an experiment takes it.
        make: Makes a model of inputs and outputs.
        own: The model, as an experiment takes it; None where any will do.
        expects: In what it says it is meant to differ.
        idioms: Those of Keras 2 in its source.
    """

    name: str
    kind: str
    strategy: Any
    make: Callable[[Any, Any], keras.Model]
    own: Any = None
    expects: tuple[str, ...] = ()
    idioms: tuple[Idiom, ...] = ()


def subject_of(target: Any, registry: Registry) -> Subject:
    """What a name, a reference or an object is.

    Raises:
        UsageError: It is nothing that can be checked, or its code raises.
        PluginError: The plugin that provides it fails.
    """
    if not isinstance(target, str):
        return _subject(getattr(target, "__name__", type(target).__name__), target, target)
    if (found := registry.find("strategy", target)) is not None:
        return Subject(target, "strategy", target, keras.Model, idioms=idioms_in(registry.load(found)))
    if not is_reference(target):
        names = [each.spec.name for each in registry.registrations("strategy")]
        raise UsageError(
            f"`{target}` is no strategy and no reference. Write `path/file.py:attribute`,"
            f" `package.module:attribute`, or a strategy: {suggestion(target, names, what='strategies')}"
        )
    with isolated(0):
        return _subject(target, target, References().load(target))


def _subject(name: str, target: Any, value: Any) -> Subject:
    # Here, while its module is known: see `assembly.isolation`.
    idioms = idioms_in(value)
    said = getattr(value, EXPECTS, ())
    expects = (said,) if isinstance(said, str) else tuple(said)
    if isinstance(value, type) and issubclass(value, keras.Model):
        if _brings_call(value):
            return Subject(name, "model", "custom-step", keras.Model, target, expects, idioms)

        def make(inputs: Any, outputs: Any) -> keras.Model:
            # Loaded anew for each training, as its module may keep state.
            kind: Any = References().load(target) if isinstance(target, str) else value
            try:
                return kind(inputs, outputs)
            except TypeError as error:
                raise UsageError(
                    f"`{name}` cannot be made as `{kind.__name__}(inputs, outputs)`: {one_line(error)}."
                    " Name a function that builds one, as in `path/file.py:build`."
                ) from error

        return Subject(name, "model class", "custom-step", make, None, expects, idioms)
    if isinstance(value, keras.Model):
        return Subject(name, "model", "custom-step", keras.Model, value, expects, idioms)
    if isinstance(value, StepStrategy) or (isinstance(value, type) and issubclass(value, StepStrategy)):
        return Subject(name, "strategy", target, keras.Model, None, expects, idioms)
    if not callable(value) or isinstance(value, type):
        raise UsageError(
            f"`{name}` is {type(value).__name__}. What can be checked is a step (model, data), a loop"
            " (model, batches), a StepStrategy, or a model, its class or builder."
        )
    if _is_builder(value):
        return Subject(name, "model", "custom-step", keras.Model, target, expects, idioms)
    return Subject(name, kind_of_function(value, name), target, keras.Model, None, expects, idioms)


def _brings_call(kind: type[keras.Model]) -> bool:
    """Whether a model's class has an architecture of its own."""
    own = kind.__mro__[: kind.__mro__.index(keras.Model)]
    return any("call" in vars(each) or "build" in vars(each) for each in own)


def _is_builder(function: Callable[..., Any]) -> bool:
    """Whether a function can be called without arguments, or with the signature of data."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    needed = [each.name for each in parameters if each.default is each.empty and each.kind in (0, 1, 3)]
    return not needed or needed == ["signature"]
