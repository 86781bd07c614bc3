"""Modules of the user's own code, to be loaded afresh without taking them from the program around."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

_INSTALLED = ("site-packages", "dist-packages")


def own_modules() -> dict[str, ModuleType]:
    """The modules that are neither installed, nor Python's, nor kerasx's or a plugin's, nor the program."""
    modules = list(sys.modules.items())
    # Thousands of modules are parts of a few packages: what is in one that is not the user's is not either.
    foreign = {name for name, module in modules if "." not in name and _is_foreign(module)}
    return {
        name: module
        for name, module in modules
        if name.partition(".")[0] not in foreign and is_own(name, module)
    }


def _is_foreign(module: Any) -> bool:
    """Whether a module, or a package that is in one place alone, is not the user's."""
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and not _is_of_user(file)


def is_own(name: str, module: Any) -> bool:
    """Whether a module is of the user's own code, in Python."""
    if name in ("__main__", "__mp_main__") or name.partition(".")[0] in _of_kerasx():
        return False
    if not isinstance(module, ModuleType):
        return False
    file = getattr(module, "__file__", None)
    # A package without a file holds on to what was imported of it.
    places = list(getattr(module, "__path__", ())) if file is None else [file]
    return bool(places) and all(isinstance(place, str) and _is_of_user(place) for place in places)


@functools.cache
def _is_of_user(place: str) -> bool:
    if os.path.splitext(place)[1] not in (".py", ""):
        return False  # compiled ones cannot be loaded twice
    return not any(part in place for part in _INSTALLED) and not place.startswith(_of_python())


def known_by(values: Iterable[Any]) -> set[str]:
    """The names of own modules that objects are of, and of those that these refer to.

    What is compared with a class of such a module (`isinstance`) has to be of that very class.

    Args:
        values: Objects that were handed over.
    """
    own = own_modules()
    found: set[str] = set()
    waiting = [name for value in values for name in _modules_of(value)]
    while waiting:
        name = waiting.pop()
        if name not in sys.modules or name in found or not (name in own or name == "__main__"):
            continue
        found.add(name)
        for value in list(vars(sys.modules[name]).values()):
            waiting += [value.__name__] if isinstance(value, ModuleType) else _modules_of(value, deep=False)
    return found


@contextlib.contextmanager
def set_aside(kept: Iterable[ModuleType]) -> Iterator[None]:
    """Have own modules loaded anew; those that are not stand where they stood once the context ends.

    Args:
        kept: Those that are not set aside.
    """
    stay = {id(module) for module in kept}
    aside = {name: module for name, module in own_modules().items() if id(module) not in stay}
    for name in aside:
        del sys.modules[name]
    try:
        yield
    finally:
        for name, module in aside.items():
            sys.modules.setdefault(name, module)


def put_back(modules: Mapping[str, ModuleType]) -> None:
    """Put own modules back where they stood, and forget those that were loaded since.

    Args:
        modules: As of `own_modules`, when they stood there.
    """
    for name in own_modules().keys() - modules.keys():
        del sys.modules[name]
    sys.modules.update(modules)


def _modules_of(value: Any, *, deep: bool = True) -> list[str]:
    """The modules of a class or function, or of an object's class and of those of its layers."""
    found = [getattr(value, "__module__", None), getattr(type(value), "__module__", None)]
    if deep:
        for layer in getattr(value, "layers", None) or ():
            found += _modules_of(layer)
    return [name for name in found if isinstance(name, str)]


@functools.cache
def _of_kerasx() -> frozenset[str]:
    """The packages of kerasx and its plugins, which may stand anywhere while they are written."""
    points = importlib.metadata.entry_points(group="kerasx")
    return frozenset({"kerasx", *(point.module.partition(".")[0] for point in points)})


@functools.cache
def _of_python() -> tuple[str, ...]:
    return tuple(f"{Path(sysconfig.get_path(name))}{os.sep}" for name in ("stdlib", "platstdlib"))
