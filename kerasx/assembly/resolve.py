"""Turns the components of an experiment into objects: handed over, registered, by reference or Keras's."""

from __future__ import annotations

import functools
import inspect
import math
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kerasx.assembly.ahead import Ahead
from kerasx.assembly.keras_names import KerasNames
from kerasx.component import Component
from kerasx.errors import KerasxError, PluginError, UsageError, one_line, suggestion
from kerasx.references import References, is_reference, user_code_error
from kerasx.registry import Registration, Registry


@dataclass(frozen=True)
class Found:
    """An implementation and where it came from.

    Attributes:
        value: The class, function or object.
        component: What asked for it.
        registration: The plugin's, where one answered.
        is_reference: Whether it is the user's own code, named by reference.
        is_keras: Whether it is one of Keras's own classes.
    """

    value: Any
    component: Component
    registration: Registration | None = None
    is_reference: bool = False
    is_keras: bool = False


@dataclass
class Resolver:
    """Finds components for one run and remembers who answered.

    Attributes:
        registry: The engine's plugins.
        references: Loads the user's own code.
        ahead: The data set that is loaded already, or is being.
        answers: For each component: kind, name, who answered, and its options.
        registrations: Those of plugins among them.
    """

    registry: Registry
    references: References = field(default_factory=References)
    ahead: Ahead | None = None
    answers: list[dict[str, Any]] = field(default_factory=list)
    registrations: list[Registration] = field(default_factory=list)

    def find(self, kind: str, component: Component, *, keras_names: KerasNames | None = None) -> Found:
        """The implementation a component names.

        Args:
            kind: `strategy`, `loss`, `metric`, `model`, `dataset`, `callback` or `optimizer`.
            component: A name, a reference or an object.
            keras_names: Keras's own of that kind, asked last.

        Raises:
            UsageError: Nothing answers to the name, or the user's code raises.
            PluginError: The plugin that answers fails.
        """
        if component.name is None:
            self._answered(kind, component, "an object handed over")
            return Found(component.value, component)
        registration = self.registry.find(kind, component.name)
        if registration is not None:
            self._answered(kind, component, registration.plugin.origin, registration)
            loaded = self.registry.load(registration)
            if kind == "dataset" and self.ahead is not None:
                loaded = self.ahead.instead_of(loaded)
            return Found(loaded, component, registration)
        if is_reference(component.name):
            self._answered(kind, component, "import reference")
            return Found(self.references.load(component.name), component, is_reference=True)
        if keras_names is not None and (found := keras_names.find(component.name)) is not None:
            self._answered(kind, component, f"keras {found.__name__}")
            return Found(found, component, is_keras=True)
        if component.was_object:
            raise UsageError(
                f"The {kind} of this experiment was an object, {component.name}, which no file keeps: hand it"
                " over again, or name one."
            )
        raise self.registry.unknown(
            kind, component.name, also=keras_names.names() if keras_names is not None else ()
        )

    def _answered(
        self, kind: str, component: Component, answer: str, registration: Registration | None = None
    ) -> None:
        plugin = registration.plugin if registration else None
        if registration is not None:
            self.registrations.append(registration)
        self.answers.append(
            {
                "kind": kind,
                "name": component.described,
                "answered_by": answer,
                "distribution": plugin.distribution if plugin else None,
                "version": plugin.version if plugin else None,
                "options": component.options,
            }
        )


def make(found: Found, kind: str, offered: Mapping[str, Any] | None = None, **extra: Any) -> Any:
    """Call a factory with its component's options.

    Args:
        found: Whose `value` is a class or a function.
        kind: For messages.
        offered: Arguments that are passed where the factory has a parameter of that name.
        extra: Options that the experiment holds elsewhere.

    Raises:
        UsageError: An option is unknown or its value is refused, or the user's own code raises.
        PluginError: A plugin's code raises.
    """
    options = {**extra, **found.component.options}
    parameters = _checked_parameters(found, kind, options, offered or {})
    offered = {key: value for key, value in (offered or {}).items() if key in parameters}
    return call(found, kind, **{**offered, **options})


def call(found: Found, kind: str, *args: Any, **kwargs: Any) -> Any:
    """Call what was found; what it raises becomes an error that says whose code it was."""
    name = found.component.described
    try:
        return found.value(*args, **kwargs)
    except KerasxError:
        raise
    except (Exception, SystemExit) as error:
        if found.registration is not None and found.registration.plugin.distribution != "kerasx":
            raise PluginError(
                f"The {kind} `{name}` of {found.registration.plugin.origin} failed: {one_line(error)}",
                details=traceback.format_exc(),
            ) from error
        if found.is_reference or found.component.name is None:
            raise user_code_error(f"making the {kind} `{name}`", error) from error
        raise UsageError(
            f"The {kind} `{name}` refuses its options {found.component.options}: {one_line(error)}",
            details=traceback.format_exc(),
        ) from error


def objective(found: Found, kind: str, base: type, offered: Mapping[str, Any]) -> Any:
    """A loss or metric from a class, a function `(y_true, y_pred)`, a factory or an object.

    Raises:
        UsageError: It is none of these, or an option is refused.
    """
    value = found.value
    if isinstance(value, type) and issubclass(value, base):
        return make(found, kind, offered)
    if isinstance(value, base):
        refuse_options(found, kind)
        return value
    if not callable(value):
        if found.component.name is None:
            return value  # a list or dictionary of objectives, one for each output, is Keras's to read
        raise UsageError(
            f"The {kind} `{found.component.described}` is {type(value).__name__}, and cannot be called."
        )
    if takes_labels_and_outputs(value):
        options = found.component.options
        _checked_parameters(found, kind, options, dict.fromkeys(("y_true", "y_pred")))
        return functools.wraps(value)(functools.partial(value, **options)) if options else value
    return make(found, kind, offered)


def refuse_options(found: Found, kind: str) -> None:
    """Refuse options for an object that is there already.

    Raises:
        UsageError: There are some.
    """
    if found.component.options:
        option = next(iter(found.component.options))
        raise UsageError(
            f"The {kind} `{found.component.described}` is an object that is made already, and takes no option"
            f" `{option}`: name the function or class that makes it."
        )


def takes_labels_and_outputs(function: Callable[..., Any]) -> bool:
    """Whether a function has the form `(y_true, y_pred)` rather than that of a factory."""
    parameters = parameters_of(function).values()
    required = [
        p
        for p in parameters
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return len(required) == 2


def _checked_parameters(
    found: Found, kind: str, options: Mapping[str, Any], offered: Mapping[str, Any]
) -> dict[str, inspect.Parameter]:
    """The parameters of what was found, after a look whether the options are among them."""
    parameters = parameters_of(found.value)
    # Keras's classes take any keyword argument, only to refuse it further down without a hint.
    takes_any = not found.is_keras and any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    known = [p.name for p in parameters.values() if p.name not in offered and p.kind is not p.VAR_KEYWORD]
    for option in options:
        if option not in parameters and not takes_any:
            raise UsageError(
                f"The {kind} `{found.component.described}` has no option `{option}`."
                f" {suggestion(option, known, what='options')}"
            )
        if found.is_keras and option in parameters:
            _check_number(found, kind, option, options[option], parameters[option].default)
    return parameters


def _check_number(found: Found, kind: str, option: str, value: Any, default: Any) -> None:
    """Refuse what is no number where Keras takes one; it would find out in training, and not say which."""
    takes_number = isinstance(default, int | float) and not isinstance(default, bool)
    is_none = isinstance(value, str) or (isinstance(value, float) and math.isnan(value))
    if takes_number and is_none:
        raise UsageError(
            f"The {kind} `{found.component.described}` has the option `{option}`, a number such as {default},"
            f" and it is {value!r}."
        )


def parameters_of(function: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a class or function; none where they cannot be read."""
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return {}
