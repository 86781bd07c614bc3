"""Gives back what callbacks and models held, in place where that is possible."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, MethodType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasx.checkpoint.kinds import (
    COMPARISONS,
    FACTORIES,
    KIND,
    MAPPINGS,
    STREAMS,
    cells_of,
    class_at,
    is_named_tuple,
    is_of_user,
    is_own_object,
    kind_of,
    stored,
)
from kerasx.checkpoint.packing import Arrays, unpacked

_SEQUENCES: dict[str, type[Any]] = {"list": list, "deque": deque, "set": set}


class _NotThereError(Exception):
    """What was kept can only be filled, and there is nothing to be filled."""


class GivingBack:
    """Unpacks what was held.

    An object that is there is filled once: what is another object in the checkpoint is made anew.

    Args:
        arrays: Of the checkpoint.
        variables: Those kept beside the callbacks, by name.
    """

    def __init__(self, arrays: Arrays, variables: Mapping[str, Any]) -> None:
        self._arrays = arrays
        self._variables = variables
        self._made: dict[int, Any] = {}
        self._filled: dict[int, Any] = {}

    def attributes(self, holder: Any, kept: Mapping[str, Any]) -> None:
        """Set the attributes of an object; what cannot be made is left as it is."""
        for name, value, present in [(name, value, _held(holder, name)) for name, value in kept.items()]:
            for given in self._given(value, present):
                if given is not present or given is None:
                    object.__setattr__(holder, name, given)

    def _given(self, value: Any, present: Any) -> Iterator[Any]:
        """It, or nothing."""
        try:
            yield self.unpack(value, present)
        except _NotThereError:
            return

    def unpack(self, value: Any, present: Any) -> Any:
        """The value that was packed.

        Args:
            value: Packed.
            present: What is there in its place.
        """
        if not (isinstance(value, dict) and KIND in value):
            return unpacked(value, self._arrays)
        return self._kinds[value[KIND]](self, value, present)

    def _is_free(self, present: Any, kind: type) -> bool:
        return kind_of(present) is kind and id(present) not in self._filled

    def _take(self, value: dict[str, Any], made: Any) -> Any:
        """Have it known, before what it holds is: that may be itself."""
        self._made[value["number"]] = self._filled[id(made)] = made
        return made

    def _again(self, value: dict[str, Any], present: Any) -> Any:
        if value["number"] not in self._made:
            raise _NotThereError
        return self._made[value["number"]]

    def _there(self, value: dict[str, Any], present: Any) -> Any:
        if present is None:
            raise _NotThereError
        return self._take(value, present)

    def _variable(self, value: dict[str, Any], present: Any) -> Any:
        if "name" in value:
            variable = self._variables.get(value["name"])
            if variable is None:
                raise _NotThereError
            return present if present is not None and stored(present) is variable else variable
        array = unpacked(value["value"], self._arrays)
        kinds: dict[str, Any] = {"keras": keras.Variable, "tensorflow": tf.Variable}
        kind = kinds[value["of"]]
        is_same = (
            isinstance(present, kind)
            and id(present) not in self._filled
            and tuple(present.shape) == array.shape
            and stored(present).dtype.as_numpy_dtype == array.dtype
        )
        if is_same:
            present.assign(array)
            return self._take(value, present)
        return self._take(value, kind(array, trainable=value["trainable"]))

    def _sequence(self, value: dict[str, Any], present: Any) -> Any:
        kind = _SEQUENCES[value[KIND]]
        limit = (None, value["maxlen"]) if kind is deque else ()
        made: Any
        if self._is_free(present, kind) and (kind is not deque or present.maxlen == value["maxlen"]):
            made = present
        else:
            made = deque(maxlen=value["maxlen"]) if limit else kind()
        self._take(value, made)
        items = self._items(value["items"], present if kind is not set else None)
        if len(made) != len(items) or any(a is not b for a, b in zip(made, items, strict=True)):
            # Not as Keras's containers do it: they would look for layers, of which there are the same.
            kind.clear(made)
            (kind.update if kind is set else kind.extend)(made, items)
        return made

    def _items(self, values: list[Any], present: Any) -> list[Any]:
        """Each in the place of the one that is there."""
        there = list(present) if isinstance(present, list | deque | tuple) else []
        there += [None] * (len(values) - len(there))
        return [self.unpack(each, before) for each, before in zip(values, there, strict=False)]

    def _tuple(self, value: dict[str, Any], present: Any) -> Any:
        items = self._items(value["items"], present)
        if "class" not in value:
            return tuple(items)
        kind = class_at(value["class"])
        if kind is None or not is_named_tuple(kind):
            raise _NotThereError
        return kind._make(items)

    def _mapping(self, value: dict[str, Any], present: Any) -> Any:
        kind = MAPPINGS[value["class"]]
        made = self._take(value, present if self._is_free(present, kind) else kind())
        if made is not present and value["factory"] is not None:
            made.default_factory = FACTORIES[value["factory"]]
        keys = self._items(value["keys"], None)
        there = [present.get(key) if isinstance(present, dict) else None for key in keys]
        items = self._items(value["items"], there)
        kind.clear(made)
        for key, item in zip(keys, items, strict=True):
            kind.__setitem__(made, key, item)
        return made

    def _array(self, value: dict[str, Any], present: Any) -> Any:
        array = unpacked(value["value"], self._arrays)
        is_same = self._is_free(present, np.ndarray) and present.flags.writeable
        if is_same and (present.shape, present.dtype) == (array.shape, array.dtype):
            present[...] = array
            return self._take(value, present)
        return self._take(value, array)

    def _stream(self, value: dict[str, Any], present: Any) -> Any:
        state = unpacked(value["state"], self._arrays)
        if value["class"] == "Generator":
            kind = STREAMS[state["bit_generator"]]
            is_there = self._is_free(present, np.random.Generator) and type(present.bit_generator) is kind
            made = self._take(value, present if is_there else np.random.Generator(kind()))
            made.bit_generator.state = state
        elif value["class"] == "RandomState":
            is_there = self._is_free(present, np.random.RandomState)
            made = self._take(value, present if is_there else np.random.RandomState(0))
            made.set_state(state)
        else:
            made = self._take(value, present if self._is_free(present, random.Random) else random.Random(0))
            made.setstate(state)
        return made

    def _enum(self, value: dict[str, Any], present: Any) -> Any:
        kind: Any = class_at(value["class"])
        if kind is None or value["name"] not in getattr(kind, "__members__", {}):
            raise _NotThereError
        return kind[value["name"]]

    def _function(self, value: dict[str, Any], present: Any) -> Any:
        if not isinstance(present, FunctionType):
            raise _NotThereError
        self._take(value, present)
        cells = dict(cells_of(present))
        for name, cell in cells.items():
            if name in value["items"]:
                for given in self._given(value["items"][name], cell.cell_contents):
                    cell.cell_contents = given
        return present

    def _method(self, value: dict[str, Any], present: Any) -> Any:
        if not isinstance(present, MethodType):
            raise _NotThereError
        self._take(value, present)
        for name, each in value["items"].items():
            list(self._given(each, getattr(present, name)))  # it is filled
        return present

    def _object(self, value: dict[str, Any], present: Any) -> Any:
        kind = class_at(value.get("class"))
        is_there = present is not None and id(present) not in self._filled
        if is_there and kind in (None, type(present)) and is_own_object(present):
            made = present
        elif kind is None or not is_of_user(kind) or not value.get("whole", True):
            raise _NotThereError
        else:
            made = object.__new__(kind)
        self.attributes(self._take(value, made), value["items"])
        return made

    _kinds: Mapping[str, Callable[[GivingBack, dict[str, Any], Any], Any]] = {
        "again": _again,
        "there": _there,
        "variable": _variable,
        "tensor": lambda self, value, _: tf.constant(unpacked(value["value"], self._arrays)),
        "bytes": lambda _, value, __: bytes.fromhex(value["value"]),
        "complex": lambda _, value, __: complex(*value["value"]),
        "enum": _enum,
        "tuple": _tuple,
        "frozenset": lambda self, value, _: frozenset(self._items(value["items"], None)),
        "list": _sequence,
        "deque": _sequence,
        "set": _sequence,
        "mapping": _mapping,
        "array": _array,
        "stream": _stream,
        "comparison": lambda self, value, _: self._take(value, COMPARISONS[value["name"]]),
        "function": _function,
        "method": _method,
        "object": _object,
    }


def _held(holder: Any, name: str) -> Any:
    """An attribute that is there; one that is still empty may not be asked by its own `__getattr__`."""
    try:
        return object.__getattribute__(holder, name)
    except AttributeError:
        return None
