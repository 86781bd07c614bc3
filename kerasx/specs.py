"""What a plugin hands over: small frozen records that name an implementation without importing it.

Listing plugins and printing help read these records only, so neither TensorFlow nor a plugin's heavy
code is imported until something is asked for by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_IMPORT_STRING = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class Spec:
    """One named thing that a plugin provides.

    Args:
        name: What users write. Letters, digits, `-`, `_` and `.`; unique within its kind.
        summary: One line for listings.
        implementation: Where the thing is, as an import string `package.module:attribute`; or the
            object itself, for plugins that are handed to an `Engine` without being installed.

    Raises:
        ValueError: A field does not have the form above.
    """

    name: str
    summary: str
    implementation: str | object

    kind: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ValueError(f"{type(self).__name__}: {self.name!r} is not a name")
        if not isinstance(self.summary, str) or "\n" in self.summary:
            raise ValueError(f"{type(self).__name__} {self.name!r}: the summary has to be one line")
        if isinstance(self.implementation, str) and not _IMPORT_STRING.fullmatch(self.implementation):
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: the implementation {self.implementation!r} is not an"
                " import string of the form 'package.module:attribute'"
            )


@dataclass(frozen=True)
class StrategySpec(Spec):
    """How a step is carried out and driven: a `StepStrategy` subclass, a step or a loop.

    A function with the parameters `(model, data)` that returns logs is a step; one with
    `(model, batches)` is a loop over one epoch.
    """

    kind: ClassVar[str] = "strategy"


@dataclass(frozen=True)
class LossSpec(Spec):
    """A `keras.losses.Loss` subclass, a function `(y_true, y_pred)`, or a factory of either."""

    kind: ClassVar[str] = "loss"


@dataclass(frozen=True)
class MetricSpec(Spec):
    """A `keras.metrics.Metric` subclass, a function `(y_true, y_pred)`, or a factory of either."""

    kind: ClassVar[str] = "metric"


@dataclass(frozen=True)
class ModelSpec(Spec):
    """A function that builds a `keras.Model`; one with a parameter `signature` is told the data's."""

    kind: ClassVar[str] = "model"


@dataclass(frozen=True)
class DatasetSpec(Spec):
    """A function that returns arrays: a `Dataset`, a mapping with npz keys, or two pairs.

    Args:
        plain: Whether it uses NumPy alone: neither TensorFlow nor Keras, and no random numbers but of a
            generator that it seeds. Then it is called in a thread while TensorFlow is imported.
    """

    plain: bool = False

    kind: ClassVar[str] = "dataset"


@dataclass(frozen=True)
class CallbackSpec(Spec):
    """A `keras.callbacks.Callback` subclass or a factory; `run_directory` is passed if it is a parameter."""

    kind: ClassVar[str] = "callback"


@dataclass(frozen=True)
class CommandSpec(Spec):
    """A function that becomes a command of the command line, its parameters typed as typer reads them."""

    kind: ClassVar[str] = "command"


SPEC_TYPES: dict[str, type[Spec]] = {
    spec.kind: spec
    for spec in (StrategySpec, LossSpec, MetricSpec, ModelSpec, DatasetSpec, CallbackSpec, CommandSpec)
}
