"""Values as files hold them: texts, numbers, dates, lists and tables."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


def holds_objects(value: Any) -> bool:
    """Whether there is anything in a value that no file can hold."""
    if isinstance(value, Mapping):
        return any(holds_objects(each) for each in value.values())
    if isinstance(value, list | tuple):
        return any(holds_objects(each) for each in value)
    plain = str | bool | int | float | datetime.date | datetime.time | np.generic | None
    return not isinstance(value, plain)


def texts_in(value: Any) -> Iterator[str]:
    """The texts in a value, at any depth; keys are none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from texts_in(each)


def as_plain(value: Any) -> Any:
    """A value as TOML and JSON hold it, without what is None; an object becomes text."""
    if isinstance(value, Mapping):
        return {str(key): as_plain(each) for key, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [as_plain(each) for each in value]
    if isinstance(value, str | bool | int | float | datetime.date | datetime.time):
        return value
    if isinstance(value, np.generic):
        return value.item()
    return str(value)
