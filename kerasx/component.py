"""The parts of an experiment: a name with options, or an object in its place."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias, TypeGuard

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    model_validator,
)


class Component(BaseModel):
    """A named part of an experiment with its options, or an object in its place.

    In TOML and on the command line it is a name (`"adam"`), or a table of a name and options
    (`{name = "adam", beta_1 = 0.8}`).

    Attributes:
        name: A registered name, a Keras identifier, an import reference or a file; None for an object.
        options: What the part is configured with.
        value: The object handed over, which no file can describe.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    value: Any = None

    @model_validator(mode="after")
    def _name_once(self) -> Component:
        if "name" in self.options:
            raise ValueError("an option cannot be called `name`: that is the component's own")
        return self

    @property
    def described(self) -> str:
        """The name, or the class of the object, as messages show it."""
        return self.name if self.name is not None else f"<{type(self.value).__name__} object>"

    @property
    def is_object(self) -> bool:
        """Whether an object was handed over, so that no file can describe the part."""
        return self.name is None

    @property
    def was_object(self) -> bool:
        """Whether an object stands here or stood here when the experiment was written to a file."""
        texts = (self.described, *(value for value in self.options.values() if isinstance(value, str)))
        return self.is_object or any(text.startswith("<") and text.endswith(">") for text in texts)


def _as_component(given: object) -> object:
    """Accept a name, a table or an object where a component is expected."""
    if isinstance(given, Component) or given is None:
        return given
    if isinstance(given, str):
        if not given.strip():
            raise ValueError("a name cannot be empty")
        return Component(name=given)
    if isinstance(given, Mapping) and isinstance(given.get("name"), str):
        return Component(name=given["name"], options={k: v for k, v in given.items() if k != "name"})
    if isinstance(given, bool | int | float) or (isinstance(given, Mapping) and "name" in given):
        raise ValueError(f"{reprlib.repr(given)} is not a name, a table with a name, or an object")
    return Component(value=given)


def _component_to_plain(component: Component | None) -> object:
    if component is None:
        return None
    if component.options:
        return {"name": component.described, **component.options}
    return component.described


ComponentField = Annotated[
    Component,
    BeforeValidator(_as_component),
    PlainSerializer(_component_to_plain),
]


# One component, or one for each output in the structure in which the model returns them.
Tree: TypeAlias = "Component | tuple[Tree | None, ...] | dict[str, Tree]"

# How TOML, which has no null, writes that an output has no loss or no metric.
_NONE = "none"


def components_of(value: object) -> list[Component]:
    """The components in a field of an experiment, in order; anything else is passed over."""
    if isinstance(value, Component):
        return [value]
    if not isinstance(value, tuple | dict):
        return []
    parts = value.values() if isinstance(value, dict) else value
    return [component for part in parts for component in components_of(part)]


def _as_tree(given: object) -> Tree | None:
    """Accept a component, or a list or table of them, one for each output."""
    if given is None or isinstance(given, Component):
        return given
    if isinstance(given, list | tuple):
        return tuple(None if each == _NONE else _as_tree(each) for each in given)
    if _is_table(given):
        parts = {str(key): _as_tree(each) for key, each in given.items() if each != _NONE}
        return {key: part for key, part in parts.items() if part is not None}
    component = _as_component(given)
    assert isinstance(component, Component)
    return component


def _as_trees(given: object) -> object:
    """The same for metrics, of which one component is a list of one."""
    is_structure = given is None or isinstance(given, list | tuple)
    return _as_tree(given if is_structure or _is_table(given) else (given,))


def _is_table(given: object) -> TypeGuard[Mapping[str, object]]:
    """Whether it is a table by output, not that of one component, which has a name."""
    return isinstance(given, Mapping) and "name" not in given


def _tree_to_plain(tree: Tree | None) -> object:
    if isinstance(tree, tuple):
        return [_NONE if part is None else _tree_to_plain(part) for part in tree]
    if isinstance(tree, dict):
        return {key: _tree_to_plain(part) for key, part in tree.items()}
    return _component_to_plain(tree)


def _as_rate(given: object) -> object:
    """Accept a positive number, or a schedule: its name, a table with its name, or an object."""
    if given is None or isinstance(given, Component):
        return given
    if isinstance(given, bool) or (isinstance(given, str) and _is_number(given)):
        raise ValueError("Input should be a number, or a learning-rate schedule")
    if isinstance(given, int | float | np.number):
        with np.errstate(over="ignore"):
            rate = np.float32(min(given, 1e300))  # as optimizers keep it; Python's integers know no bounds
        if not (rate > 0 and np.isfinite(rate)):
            raise ValueError("Input should be a finite number greater than 0, in float32")
        return float(given)
    return _as_component(given)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _as_weights(given: object) -> object:
    """Accept a number, or a list or table of numbers, one for each output."""
    if given is None:
        return None
    if isinstance(given, Mapping) and all(isinstance(key, str) for key in given):
        return {key: _as_weight(value) for key, value in given.items()}
    if isinstance(given, list | tuple):
        return tuple(_as_weight(value) for value in given)
    return _as_weight(given)


def _as_weight(given: object) -> float:
    is_number = isinstance(given, int | float | np.number) and not isinstance(given, bool)
    # Python's integers may be too large for any float.
    if not is_number or not -1e300 < given < 1e300:  # type: ignore[operator]
        raise ValueError("Input should be a finite number, or a list or table of them, one for each output")
    return float(given)  # type: ignore[arg-type]


def _rate_to_plain(rate: float | Component | None) -> object:
    return _component_to_plain(rate) if isinstance(rate, Component) else rate


def _as_tuple(given: object) -> object:
    """Accept one name where a list is expected."""
    return (given,) if isinstance(given, str) else given


Components = Annotated[tuple[ComponentField, ...], BeforeValidator(_as_tuple)]
TreeField = Annotated[Any, BeforeValidator(_as_tree), PlainSerializer(_tree_to_plain)]
TreesField = Annotated[Any, BeforeValidator(_as_trees), PlainSerializer(_tree_to_plain)]
WeightsField = Annotated[float | tuple[float, ...] | dict[str, float] | None, PlainValidator(_as_weights)]
RateField = Annotated[float | Component | None, PlainValidator(_as_rate), PlainSerializer(_rate_to_plain)]
