"""Finds what holds variables in objects that were handed over: they were made before anything was noted."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import keras
import tensorflow as tf

from kerasx.checkpoint.kinds import GIVEN, OF_VARIABLES, all_held, cells_of, is_of_user, is_own_object
from kerasx.own_modules import is_own

_HOLDERS = (*OF_VARIABLES, keras.Variable, tf.Variable)
_LOOKED_INTO = (keras.Layer, keras.callbacks.Callback, keras.losses.Loss)


def holders_of_variables(values: Iterable[Any]) -> list[Any]:
    """Variables, optimizers, metrics, layers and random streams that values hold or refer to.

    Their order is that of the code, and the same each time.

    Args:
        values: Models, callbacks, steps.
    """
    found: list[Any] = []
    seen: dict[int, Any] = {}
    waiting = list(values)[::-1]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value  # held, so that no other has its identity
        if isinstance(value, _HOLDERS):
            found.append(value)
        waiting += list(_within(value))[::-1]
    return found


def _within(value: Any) -> Iterator[Any]:
    """What a value holds and what its code refers to, as far as it is the user's."""
    if isinstance(value, FunctionType):
        yield from _of_function(value)
    elif isinstance(value, MethodType):
        yield from (value.__self__, value.__func__)
    elif isinstance(value, functools.partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple):
        yield from value
    elif isinstance(value, tf.types.experimental.PolymorphicFunction):  # of tf.function
        yield value.python_function
    elif isinstance(value, _LOOKED_INTO) or is_own_object(value):
        # A callback that has been used before still has the model of that training.
        given = GIVEN if isinstance(value, keras.callbacks.Callback) else ()
        yield from (each for name, each in all_held(value).items() if name not in given)
        for kind in type(value).__mro__:
            if is_of_user(kind):
                yield from vars(kind).values()


def _of_function(function: FunctionType) -> Iterator[Any]:
    is_users = is_of_user(function)
    if is_users or function.__module__.startswith("kerasx."):  # which wraps the user's
        yield from (cell.cell_contents for _, cell in cells_of(function))
    if not is_users:
        return
    names = list(dict.fromkeys(_names(function.__code__)))
    for name in names:
        value = function.__globals__.get(name)
        if isinstance(value, ModuleType) and is_own(value.__name__, value):
            yield from (vars(value).get(each) for each in names)
        else:
            yield value


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _names(each)
