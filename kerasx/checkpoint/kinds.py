"""Kinds of what objects hold: what is of the user's code, what has variables, how classes are found again."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import random
import re
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from pathlib import Path
from types import BuiltinFunctionType, CellType, FunctionType, ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasx.own_modules import is_own

KIND = "__kind__"
# Keras's callbacks compare by one of these, which they choose when they first need it.
COMPARISONS = {"less": keras.ops.less, "greater": keras.ops.greater}
MAPPINGS: dict[str, type[dict[Any, Any]]] = {
    each.__name__: each for each in (dict, OrderedDict, Counter, defaultdict)
}
FACTORIES = {each.__name__: each for each in (int, float, bool, str, list, tuple, dict, set)}
STREAMS = {name: getattr(np.random, name) for name in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")}
# What a callback is given anew in each training.
GIVEN = ("_model", "model", "params", "validation_data")
# How Keras's CSVLogger goes on with its file, which is decided when training begins.
OF_FILES = ("append", "append_header")
# Where Keras's callbacks have their files, which may be elsewhere by now.
FILE_ATTRIBUTES = ("filepath", "filename", "log_dir", "backup_dir")
WITH_FILES = (
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.CSVLogger,
    keras.callbacks.TensorBoard,
    keras.callbacks.BackupAndRestore,
)
# Objects whose state is all in variables.
OF_VARIABLES = (
    keras.metrics.Metric,
    keras.optimizers.Optimizer,
    keras.Layer,
    keras.random.SeedGenerator,
    tf.random.Generator,
)
# What does not change as training goes on, as far as it is the callback's.
UNCHANGED = (
    type,
    ModuleType,
    BuiltinFunctionType,
    np.ufunc,
    Path,
    io.IOBase,
    logging.Logger,
    tf.data.Dataset,
    tf.TensorShape,
    tf.DType,
    np.dtype,
    re.Pattern,
    keras.DTypePolicy,
    keras.InputSpec,
    keras.KerasTensor,
)
_OF_MODULES = frozenset(vars(tf.Module("module")))
_MUTABLE = (
    list,
    dict,
    set,
    deque,
    np.ndarray,
    np.random.Generator,
    random.Random,
    tf.Variable,
    keras.Variable,
)

# What `tf.is_tensor` finds by the attributes of whatever it is asked of, which a `__getattr__` may not have.
TENSORS = (tf.Tensor, tf.SparseTensor, tf.RaggedTensor, tf.IndexedSlices)


def is_of_user(thing: Any) -> bool:
    """Whether a class or a function is of the user's own code."""
    name = getattr(thing, "__module__", None) or ""
    return name == "__main__" or (name in sys.modules and is_own(name, sys.modules[name]))


def kind_of(value: Any) -> type:
    """The class of a value; of a container the one of which Keras makes its own, to find layers in it."""
    kind = type(value)
    if not (isinstance(value, list | dict | set) and kind.__module__.startswith("keras.")):
        return kind
    return next(each for each in kind.__mro__ if not each.__module__.startswith("keras."))


def path_of(kind: type) -> str | None:
    """How a class is found again; None where it is not, as one that a function makes."""
    path = f"{kind.__module__}:{kind.__qualname__}"
    return path if class_at(path) is kind else None


def class_at(path: str | None) -> Any:
    """The class of a path, in the modules that are there; None where it has none."""
    module, _, name = (path or "").partition(":")
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) else None


def is_named_tuple(kind: type) -> bool:
    """Whether a class is one of `collections.namedtuple`."""
    return issubclass(kind, tuple) and hasattr(kind, "_fields") and hasattr(kind, "_make")


def all_held(value: Any) -> dict[str, Any]:
    """What an object holds, in slots too; a `__getattr__` of its own, which may raise, is not asked."""
    names = [each.name for each in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else []
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        names += [
            each for each in ((slots,) if isinstance(slots, str) else slots) if not each.startswith("__")
        ]
    held: dict[str, Any] = {}
    for name in names:
        with contextlib.suppress(AttributeError):  # of a slot that is empty yet
            held[name] = object.__getattribute__(value, name)
    with contextlib.suppress(AttributeError):  # of an object that has slots alone
        held.update(object.__getattribute__(value, "__dict__"))
    return held


def attributes_of(value: Any) -> dict[str, Any]:
    """What an object holds, without what TensorFlow gives its modules."""
    held = all_held(value)
    if isinstance(value, tf.Module):
        return {k: v for k, v in held.items() if k not in _OF_MODULES and not k.startswith("_self_")}
    return held


def cells_of(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function closes over by name, as cells."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if cell != CellType():  # it may be empty yet
            yield name, cell


def variables_of(value: Any) -> list[Any]:
    """All variables of an object whose state is in them, or itself where it is one."""
    if isinstance(value, keras.Variable | tf.Variable):
        return [value]
    if isinstance(value, keras.random.SeedGenerator | tf.random.Generator):
        return [value.state]
    return list(value.variables)


def stored(variable: Any) -> Any:
    """The TensorFlow variable in a Keras one."""
    return variable.value if isinstance(variable, keras.Variable) else variable


def as_array(value: Any) -> np.ndarray[Any, Any]:
    """A tensor or a number as NumPy has it; text as bytes, as objects would be pickled in a file."""
    array: np.ndarray[Any, Any] = keras.ops.convert_to_numpy(value)
    return array.astype("S") if array.dtype.hasobject else array


def is_own_object(value: Any) -> bool:
    """Whether a value is an object of a class of the user's, and no number, container or iterator."""
    built_in = (int, float, str, bytes, tuple, list, dict, set, frozenset, BaseException, np.ndarray)
    return is_of_user(type(value)) and not isinstance(value, built_in) and not _has(value, "__next__")


def may_change(value: Any) -> bool:
    """Whether what a class holds is more than what it is made of."""
    return isinstance(value, _MUTABLE) or (is_own_object(value) and not _has(value, "__get__"))


def _has(value: Any, method: str) -> bool:
    """Whether the class of a value has a method, without asking its metaclass."""
    return any(method in vars(kind) for kind in type(value).__mro__)
