"""What users' code keeps in attributes of a model, its layers and its optimizer, for eager steps to read."""

from __future__ import annotations

import dis
import functools
from collections.abc import Iterator
from types import CodeType
from typing import Any

import keras

from kerasx.checkpoint.given_back import GivingBack
from kerasx.checkpoint.held import Holding
from kerasx.checkpoint.kinds import is_of_user
from kerasx.checkpoint.settings import holders

# One for the model and each of its layers and optimizers, by name.
Attributes = list[dict[str, Any]]


def attributes(model: keras.Model, holding: Holding) -> Attributes:
    """All that can be kept of what Keras has not set by itself.

    Args:
        model: Any.
        holding: Packs it, and has the names of what cannot be kept.
    """
    return [
        holding.attributes(_of_user(holder), f"attribute.{place}", "" if place == 0 else f"{holder.name}.")
        for place, holder in enumerate(holders(model))
    ]


def held_by(model: keras.Model) -> Holding:
    """What there is, with the names of what cannot be kept, or be made anew."""
    holding = Holding({})
    attributes(model, holding)
    return holding


def give_attributes(model: keras.Model, kept: Attributes, giving: GivingBack) -> None:
    """Give back what was kept, in place where there is something of the kind."""
    for holder, each in zip(holders(model), kept, strict=False):
        giving.attributes(holder, each)


def _of_user(holder: Any) -> dict[str, Any]:
    """What it holds under names that no code of a library gives to an object of its kind."""
    libraries = [kind for kind in type(holder).__mro__ if not is_of_user(kind)]
    taken = frozenset[str]().union(*map(_names_set_by, libraries))
    return {
        name: value
        for name, value in vars(holder).items()
        if name not in taken and not isinstance(value, keras.callbacks.Callback)  # as `model.history`
    }


@functools.cache
def _names_set_by(kind: type) -> frozenset[str]:
    """Names that the functions of a class set, of whatever object."""
    functions: list[Any] = []
    for each in vars(kind).values():
        functions += (
            (each.fget, each.fset) if isinstance(each, property) else (getattr(each, "__func__", each),)
        )
    found: set[str] = set()
    while functions:
        function = functions.pop()
        if isinstance(code := getattr(function, "__code__", None), CodeType):
            found.update(_stored(code))
        if (wrapped := getattr(function, "__wrapped__", None)) is not None:
            functions.append(wrapped)
    return frozenset(found)


def _stored(code: CodeType) -> Iterator[str]:
    yield from (each.argval for each in dis.get_instructions(code) if each.opname == "STORE_ATTR")
    for within in code.co_consts:
        if isinstance(within, CodeType):
            yield from _stored(within)
