"""Flags and numbers in a model, its layers and its optimizer, which eager steps read each time."""

from __future__ import annotations

from typing import Any

import keras

from kerasx.training.layers import all_layers

Settings = list[dict[str, Any]]

_TRAINABLE = "trainable"
_PLAIN = (type(None), bool, int, float, str)
# What Keras sets by itself as training goes on.
_OF_KERAS = ("built", "stop_training", "stop_evaluating", "stop_predicting")


def settings(model: keras.Model) -> Settings:
    """Attributes of the model, of each layer and of the optimizer that are numbers, flags or text."""
    return [_of(each) for each in holders(model)]


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
    there = holders(model)
    for place, name, value in changes:
        if place < len(there) and _of(there[place]).get(name, _of) != value:
            setattr(there[place], name, value)


def holders(model: keras.Model) -> list[Any]:
    """A model, its layers, each after what it is in, and its optimizers."""
    optimizer = model.optimizer
    optimizers = [optimizer, getattr(optimizer, "inner_optimizer", None)]
    return [*all_layers(model), *(each for each in optimizers if each is not None)]


def _of(holder: Any) -> dict[str, Any]:
    plain = {
        name: value
        for name, value in vars(holder).items()
        if not name.startswith("_") and name not in _OF_KERAS and type(value) in _PLAIN
    }
    return plain | ({_TRAINABLE: holder.trainable} if isinstance(holder, keras.Layer) else {})
