"""Loads a data set while TensorFlow is imported, which takes seconds and one processor of several."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from kerasx.component import Component
from kerasx.data.codes import forget_ready, make_ready
from kerasx.errors import PluginError
from kerasx.registry import Registry
from kerasx.specs import DatasetSpec


class Ahead:
    """A registered data set that declares `plain`, on its way; or nothing, where there is no gain in it.

    Args:
        component: The data set of an experiment.
        registry: Who may provide it.
    """

    def __init__(self, component: Component, registry: Registry) -> None:
        forget_ready()  # of an engine's run before
        self._function: Any = None
        self._loading: Future[Any] | None = None
        if component.name is None or "keras" in sys.modules:
            return
        try:
            registration = registry.find("dataset", component.name)
            if registration is None or not isinstance(registration.spec, DatasetSpec):
                return
            if not registration.spec.plain:
                return
            self._function = registry.load(registration)
        except PluginError:  # raised again when the data set is asked for
            return
        pool = ThreadPoolExecutor(1)
        self._loading = pool.submit(_load, self._function, component.options)
        pool.shutdown(wait=False)

    def instead_of(self, function: Any) -> Any:
        """What to call in place of the data set's function: the same with its parameters, but under way."""
        loading = self._loading
        if loading is None or function is not self._function:
            return function
        return functools.wraps(function)(lambda **_: loading.result())


def _load(function: Any, options: dict[str, Any]) -> Any:
    """Call the function, and find the codes that fused steps will ask for."""
    value = function(**options)
    for part in value.values() if isinstance(value, Mapping) else ():
        if isinstance(part, np.ndarray):
            part.flags.writeable = False
            make_ready(part)
    return value
