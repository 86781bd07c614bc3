"""Values that are put into the experiments of others: of a run from another folder, or of one option."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kerasx.component import Component
from kerasx.errors import UsageError
from kerasx.experiment import Experiment, merged
from kerasx.references import names_code, split_reference
from kerasx.runs.directory import RunDirectory

_FILES = (".npz", ".keras", ".h5")


def is_elsewhere(run: RunDirectory | None) -> bool:
    """Whether relative paths of a run's experiment start from another folder than this process works in."""
    folder = None if run is None else run.working_directory
    return folder is not None and folder.resolve() != Path.cwd()


def from_here(value: Any) -> Any:
    """A value with paths that start from the working directory, wherever it is put.

    Args:
        value: Of a field, of several by their names, or a part of one; objects stay as they are.
    """
    if isinstance(value, Component):
        name, options = from_here(value.name), from_here(value.options)
        return value.model_copy(update={"name": name, "options": options})
    if isinstance(value, Mapping):
        return {key: from_here(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(from_here, value))
    if isinstance(value, Path):
        return Path.cwd() / value.expanduser()
    return _text_from_here(value) if isinstance(value, str) else value


def _text_from_here(text: str) -> str:
    if text.endswith(_FILES):
        return str(from_here(Path(text)))
    if not names_code(text):
        return text
    location, attribute = split_reference(text)
    return f"{from_here(Path(location))}:{attribute}" if location.endswith(".py") else text


def with_option(experiment: Experiment, key: str, value: Any) -> Experiment:
    """An experiment with a field replaced, or with an option of a part: `optimizer.momentum`, at any depth.

    Raises:
        UsageError: There is no such field, it has no options, or the value is wrong.
    """
    field, *below = key.split(".")
    if not below:
        return experiment.with_values(**{key: value})
    if field not in Experiment.model_fields or not all(below):
        raise UsageError(f"`{key}` is no key of the experiment and no option of a part of it.")
    for part in reversed(below):
        value = {part: value}
    now = getattr(experiment, field)
    if isinstance(now, Component) and now.is_object:
        raise UsageError(f"`{key}` cannot be set: `{field}` is an object that was handed over.")
    return experiment.with_values(**merged({} if now is None else {field: now}, {field: value}))
