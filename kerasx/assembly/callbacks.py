"""The callbacks of an experiment: registered, by reference, Keras's own, or objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from kerasx.assembly.keras_names import KerasNames
from kerasx.assembly.resolve import Found, Resolver, make, parameters_of
from kerasx.component import Component
from kerasx.errors import UsageError
from kerasx.references import is_reference

_CALLBACKS = KerasNames(keras.callbacks, keras.callbacks.Callback)
# Files that belong to the run, and what BackupAndRestore writes for another run to find.
_OF_THE_RUN = ("filepath", "filename", "log_dir")
_OF_OTHER_RUNS = ("backup_dir",)


def make_callbacks(
    components: Sequence[Component], resolver: Resolver, run_directory: Path, *, keeps_nothing: bool = False
) -> list[keras.callbacks.Callback]:
    """The callbacks; those with a parameter `run_directory` are told it.

    Files that one of Keras's callbacks writes by a relative path are written in the run directory.

    Args:
        components: What the experiment names.
        resolver: Finds them.
        run_directory: Of the run; in a dry run a folder that is removed at its end.
        keeps_nothing: Whether it is a dry run, in which Keras's callbacks write there alone.

    Raises:
        UsageError: There is no such callback, it is none, or it refuses an option.
        PluginError: The plugin that provides it fails.
    """
    made = []
    for component in components:
        found = resolver.find("callback", component, keras_names=_CALLBACKS)
        callback = found.value
        if found.is_keras:
            callback = make(_with_values(found, resolver, run_directory, keeps_nothing), "callback")
        elif not isinstance(callback, keras.callbacks.Callback) and callable(callback):
            callback = make(found, "callback", {"run_directory": run_directory})
        if not isinstance(callback, keras.callbacks.Callback):
            raise UsageError(
                f"The callback `{component.described}` is {type(callback).__name__}, not a callback."
            )
        made.append(callback)
    return made


def _with_values(found: Found, resolver: Resolver, run_directory: Path, keeps_nothing: bool) -> Found:
    """Keras's callback with paths in the run directory and functions in the place of references."""

    def value(option: str, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        if option in _OF_THE_RUN or (option in _OF_OTHER_RUNS and keeps_nothing):
            # An absolute path stays as it is, unless nothing is to be kept.
            path = run_directory / (Path(given).name if keeps_nothing else given)
            path.parent.mkdir(parents=True, exist_ok=True)
            return str(path)
        is_function = option == "schedule" or option.startswith("on_")
        return resolver.references.load(given) if is_function and is_reference(given) else given

    parameters = parameters_of(found.value)
    defaults = {
        option: parameters[option].default
        for option in _OF_THE_RUN
        if option in parameters and isinstance(parameters[option].default, str)
    }
    given = defaults | found.component.options
    options = {option: value(option, each) for option, each in given.items()}
    return replace(found, component=found.component.model_copy(update={"options": options}))
