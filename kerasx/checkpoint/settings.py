"""Plain attributes of a model, its layers and its optimizer, which eager steps read each time."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import keras

from kerasx.checkpoint.packing import Arrays, NotPlainError, packed, unpacked
from kerasx.training.layers import all_layers

Settings = list[dict[str, Any]]

_TRAINABLE = "trainable"
# What Keras sets by itself as training goes on.
_OF_KERAS = ("built", "stop_training", "stop_evaluating", "stop_predicting")


def settings(model: keras.Model) -> Settings:
    """Attributes of the model, of each layer and of the optimizer that are numbers, flags, text, or lists and
    dictionaries of them; as JSON can hold them."""
    return [_of(each) for each in _holders(model)]


def changed(before: Settings, now: Settings) -> list[list[Any]]:
    """The place, name and value of each setting that was another before, or was not there."""
    if len(before) != len(now):
        return []  # places say nothing
    different = [
        [place, name, value]
        for place, (old, new) in enumerate(zip(before, now, strict=True))
        for name, value in new.items()
        if name not in old or old[name] != value
    ]
    if not any(name == _TRAINABLE for _, name, _ in different):
        return different
    # All of these: a layer hands its own on to the layers within, which may have others.
    flags = [[place, _TRAINABLE, new[_TRAINABLE]] for place, new in enumerate(now) if _TRAINABLE in new]
    return flags + [each for each in different if each[1] != _TRAINABLE]


def change(model: keras.Model, changes: list[list[Any]]) -> None:
    """Set what was changed."""
    holders = _holders(model)
    for place, name, value in changes:
        if place < len(holders) and _of(holders[place]).get(name, _of) != value:
            setattr(holders[place], name, unpacked(value, {}))


def _holders(model: keras.Model) -> list[Any]:
    """Layers after those that they are in."""
    optimizer = model.optimizer
    optimizers = [optimizer, getattr(optimizer, "inner_optimizer", None)]
    return [*all_layers(model), *(each for each in optimizers if each is not None)]


def _of(holder: Any) -> dict[str, Any]:
    held: Mapping[str, Any] = vars(holder)
    plain: dict[str, Any] = {}
    for name, value in held.items():
        if name.startswith("_") or name in _OF_KERAS:
            continue
        arrays: Arrays = {}
        with contextlib.suppress(NotPlainError):
            found = packed(_own(value), name, arrays)
            if not arrays:
                plain[name] = found
    return plain | ({_TRAINABLE: holder.trainable} if isinstance(holder, keras.Layer) else {})


def _own(value: Any) -> Any:
    """The value without what Keras makes of lists and dictionaries to find layers in them."""
    if isinstance(value, list):
        return [_own(each) for each in value]
    if isinstance(value, dict):
        return {name: _own(each) for name, each in value.items()}
    return value
