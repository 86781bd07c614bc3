"""What objects of users hold, with its kind: containers, variables, random streams, objects of their own."""

from __future__ import annotations

import enum
import functools
import os
import random
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasx.checkpoint.kinds import (
    COMPARISONS,
    FACTORIES,
    FILE_ATTRIBUTES,
    GIVEN,
    KIND,
    MAPPINGS,
    OF_FILES,
    OF_VARIABLES,
    STREAMS,
    TENSORS,
    UNCHANGED,
    WITH_FILES,
    attributes_of,
    cells_of,
    is_named_tuple,
    is_of_user,
    is_own_object,
    kind_of,
    may_change,
    path_of,
    stored,
    variables_of,
)
from kerasx.checkpoint.packing import Arrays, NotPlainError, packed


class Holding:
    """Packs what callbacks and models hold.

    What is held in several places is packed once, so that it is one again.

    Args:
        arrays: Takes the arrays.
        names: Of the variables that are kept beside the callbacks, by the identity of each; None where
            nothing is to be kept, to see what could be.
        folder: The run's, which may be elsewhere by the time the run is gone on with.

    Attributes:
        lost: Names of what is not kept.
        only_filled: Names of what is given back only where the callback has made it by itself.
    """

    def __init__(
        self, arrays: Arrays, names: Mapping[int, str] | None = None, folder: Path | None = None
    ) -> None:
        self.arrays = arrays
        self._names = names
        self._folder = None if folder is None else os.path.abspath(folder)
        self._seen: dict[int, tuple[int, Any]] = {}
        self.lost: list[str] = []
        self.only_filled: list[str] = []

    def attributes(self, held: Mapping[str, Any], name: str, shown: str = "") -> dict[str, Any]:
        """Those of what is held by name that can be kept."""
        kept = {}
        for key, value in held.items():
            seen, arrays = len(self._seen), len(self.arrays)
            try:
                kept[key] = self.pack(value, f"{name}.{key}", f"{shown}{key}")
            except (NotPlainError, RecursionError):
                while len(self._seen) > seen:
                    self._seen.popitem()
                while len(self.arrays) > arrays:
                    self.arrays.popitem()
                self.lost.append(f"{shown}{key}")
        return kept

    def of_callback(self, callback: keras.callbacks.Callback) -> dict[str, Any]:
        """What is to be kept of a callback, and of its classes."""
        held = {
            name: value
            for kind in reversed(type(callback).__mro__)
            if is_of_user(kind)
            for name, value in vars(kind).items()
            if not name.startswith("__") and may_change(value)
        }
        held.update(vars(callback))
        return {
            name: value
            for name, value in held.items()
            if name not in (*GIVEN, *OF_FILES) and not self._is_path(callback, value)
        }

    def _is_path(self, callback: keras.callbacks.Callback, value: Any) -> bool:
        """Whether a value is the path of a file that may be elsewhere by now."""
        if not isinstance(value, str) or os.sep not in value:
            return False
        if type(callback).__module__.startswith("keras."):
            return True
        is_given = value in [vars(callback).get(name) for name in FILE_ATTRIBUTES]
        if is_given and isinstance(callback, WITH_FILES):
            return True
        return self._folder is not None and f"{os.path.abspath(value)}/".startswith(f"{self._folder}/")

    def pack(self, value: Any, name: str, shown: str = "") -> Any:
        """What JSON can hold of a value.

        Args:
            value: Any.
            name: What its arrays are called.
            shown: What it is called where it is lost.

        Raises:
            NotPlainError: It cannot be kept.
        """
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, keras.Variable | tf.Variable):
            return self._variable(value, name)
        if isinstance(value, keras.Layer) and (known := (self._names or {}).get(id(value))) is not None:
            return {KIND: "variable", "name": known}
        if type(value) is np.ndarray:
            return self._once(value, lambda: {KIND: "array", "value": packed(value, name, self.arrays)})
        if isinstance(value, TENSORS):
            return {KIND: "tensor", "value": packed(_numbers(value), name, self.arrays)}
        if type(value) in _SIMPLE:
            return {KIND: type(value).__name__, **_SIMPLE[type(value)](value)}
        if isinstance(value, enum.Enum):
            return {KIND: "enum", "class": _found(type(value)), "name": value.name}
        if isinstance(value, tuple | frozenset) and (
            type(value) in (tuple, frozenset) or is_named_tuple(type(value))
        ):
            found = {"class": _found(type(value))} if is_named_tuple(type(value)) else {}
            named = "tuple" if isinstance(value, tuple) else "frozenset"
            return {KIND: named, **found, "items": self._items(value, name, shown)}
        for types, pack in self._kinds:
            if isinstance(value, types):
                return self._once(value, functools.partial(pack, self, value, name, shown))
        if is_own_object(value):
            return self._once(value, functools.partial(self._object, value, name, shown))
        if callable(value):  # a library's: np.mean, a loss, a partial
            return self._once(value, functools.partial(self._there, value, name, shown))
        return packed(value, name, self.arrays)

    def _once(self, value: Any, pack: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What it is, and where it was seen before its number then."""
        if id(value) in self._seen:
            return {KIND: "again", "number": self._seen[id(value)][0]}
        number = len(self._seen)
        self._seen[id(value)] = number, value  # held, so that no other has its identity
        return {"number": number, **pack()}

    def _items(self, values: Any, name: str, shown: str) -> list[Any]:
        return [self.pack(each, f"{name}.{place}", shown) for place, each in enumerate(values)]

    def _variable(self, value: Any, name: str) -> dict[str, Any]:
        known = (self._names or {}).get(id(stored(value)))
        if known is not None:
            return {KIND: "variable", "name": known}
        if self._names is None:
            return {KIND: "variable", "name": ""}
        kind = "keras" if isinstance(value, keras.Variable) else "tensorflow"

        def pack() -> dict[str, Any]:
            array = packed(_numbers(stored(value)), name, self.arrays)
            return {KIND: "variable", "of": kind, "trainable": bool(value.trainable), "value": array}

        return self._once(value, pack)

    def _sequence(self, value: Any, name: str, shown: str) -> dict[str, Any]:
        kind = kind_of(value)
        if kind not in (list, deque, set):
            raise NotPlainError(kind.__name__)
        limit = {"maxlen": value.maxlen} if isinstance(value, deque) else {}
        return {KIND: kind.__name__, **limit, "items": self._items(value, name, shown)}

    def _mapping(self, value: Any, name: str, shown: str) -> dict[str, Any]:
        kind = kind_of(value)
        if MAPPINGS.get(kind.__name__) is not kind:
            raise NotPlainError(kind.__name__)
        factory = getattr(value, "default_factory", None)
        named = next((key for key, each in FACTORIES.items() if each is factory), None)
        if factory is not None and named is None:
            self.only_filled.append(shown)
        keys, values = self._items(value, f"{name}.k", shown), self._items(value.values(), name, shown)
        return {
            KIND: "mapping",
            "class": kind.__name__,
            "factory": named,
            "keys": keys,
            "items": values,
        }

    def _stream(self, value: Any, name: str, shown: str) -> dict[str, Any]:
        if isinstance(value, np.random.Generator):
            state: Any = value.bit_generator.state
            if state["bit_generator"] not in STREAMS:
                raise NotPlainError(state["bit_generator"])
        elif isinstance(value, np.random.RandomState):
            state = value.get_state(legacy=False)
        elif type(value) is random.Random:
            state = value.getstate()
        else:
            raise NotPlainError(type(value).__name__)
        return {KIND: "stream", "class": type(value).__name__, "state": packed(state, name, self.arrays)}

    def _of_variables(self, value: Any, name: str, shown: str) -> dict[str, Any]:
        """Its variables are kept beside; those that are made while training goes on are not."""
        if self._names is not None and any(
            id(stored(each)) not in self._names for each in variables_of(value)
        ):
            raise NotPlainError(type(value).__name__)
        self.only_filled.append(shown)
        return {KIND: "there"}

    def _there(self, value: Any, name: str, shown: str) -> dict[str, Any]:
        self.only_filled.append(shown)
        return {KIND: "there"}

    def _function(self, value: FunctionType, name: str, shown: str) -> dict[str, Any]:
        """One's own has a state in what it closes over; arrays among that are data."""
        self.only_filled.append(shown)
        comparison = next((key for key, each in COMPARISONS.items() if each is value), None)
        if comparison is not None:
            return {KIND: "comparison", "name": comparison}
        held = {
            key: cell.cell_contents
            for key, cell in (cells_of(value) if is_of_user(value) else ())
            if not isinstance(cell.cell_contents, (np.ndarray, *TENSORS))
        }
        return {KIND: "function", "items": self.attributes(held, name, f"{shown}.")}

    def _method(self, value: MethodType, name: str, shown: str) -> dict[str, Any]:
        self.only_filled.append(shown)
        if isinstance(value.__self__, type | ModuleType | keras.Model):
            return {KIND: "there"}
        return {KIND: "method", "items": self.attributes({"__self__": value.__self__}, name, f"{shown}.")}

    def _callback(self, value: keras.callbacks.Callback, name: str, shown: str) -> dict[str, Any]:
        self.only_filled.append(shown)
        return {KIND: "object", "items": self.attributes(self.of_callback(value), name, f"{shown}.")}

    def _object(self, value: Any, name: str, shown: str) -> dict[str, Any]:
        path = path_of(type(value))
        lost = len(self.lost)
        kept = self.attributes(attributes_of(value), name, f"{shown}.")
        # Without what was lost it would be none that its class makes.
        is_whole = path is not None and len(self.lost) == lost and not isinstance(value, tf.Module)
        if not is_whole:
            self.only_filled.append(shown)
        return {KIND: "object", "class": path, "whole": is_whole, "items": kept}

    # In the order in which they are asked for.
    _kinds: tuple[tuple[Any, Any], ...] = (
        ((list, deque, set), _sequence),
        (dict, _mapping),
        ((np.random.Generator, np.random.RandomState, random.Random), _stream),
        (keras.callbacks.Callback, _callback),
        (OF_VARIABLES, _of_variables),
        (FunctionType, _function),
        (MethodType, _method),
        (UNCHANGED, _there),
    )


_SIMPLE: dict[type, Callable[[Any], dict[str, Any]]] = {
    bytes: lambda value: {"value": value.hex()},
    complex: lambda value: {"value": [value.real, value.imag]},
}


def _numbers(value: Any) -> Any:
    try:
        return np.array(value.numpy())
    except (
        AttributeError,
        NotImplementedError,
        tf.errors.OpError,
    ) as error:  # of a graph, or no array
        raise NotPlainError(type(value).__name__) from error


def _found(kind: type) -> str:
    path = path_of(kind)
    if path is None:
        raise NotPlainError(kind.__name__)
    return path
