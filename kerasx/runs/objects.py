"""What model, optimizer, loss and metrics of a run are, as far as they tell: by it others are known."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from kerasx.assembly.assemble import Assembly
from kerasx.component import components_of
from kerasx.files import to_json

# What differs from one making to the next, or is no property of an object. Of functions, their bytes do.
_LEFT_OUT = {"build_config", "compile_config", "module", "registered_name", "seed", "__lambda__"}
# A larger description is known by its digest.
_LARGEST = 100_000


def described(assembly: Assembly) -> dict[str, Any]:
    """What each of them is, in JSON's terms; what does not tell is left out."""
    model, experiment = assembly.task.model, assembly.experiment
    metrics = [each.value for each in components_of(experiment.metrics) if each.is_object]
    callbacks = [each.value for each in components_of(experiment.callbacks) if each.is_object]
    parts: dict[str, Any] = {
        "model": lambda: json.loads(model.to_json()),
        "optimizer": lambda: _configured(model.optimizer),
        "loss": lambda: _configured(model.loss),
        "metrics": lambda: _configured(metrics),
        "callbacks": lambda: _configured(callbacks),
    }
    found = {}
    for name, part in parts.items():
        with contextlib.suppress(Exception):  # whatever a user's `get_config` raises
            found[name] = _of_a_size(_plain(part()))
    return found


def _configured(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _configured(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_configured(each) for each in value]
    if value is None or isinstance(value, str):
        return value
    config = value.get_config() if hasattr(value, "get_config") else None
    return {"class_name": getattr(value, "__name__", type(value).__name__), "config": config}


def _plain(value: Any) -> Any:
    """Without the names that Keras numbers; lists as dictionaries by place, of which differences are told."""
    numbers = {name: f"#{place}" for place, name in enumerate(dict.fromkeys(_names(value)))}

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(key): plain(each) for key, each in value.items() if not _is_left_out(key, each)}
        if isinstance(value, list | tuple):
            return {str(place): plain(each) for place, each in enumerate(value)}
        if isinstance(value, str):
            return numbers.get(value, value)
        return value if isinstance(value, bool | int | float | None) else type(value).__name__

    return json.loads(to_json(plain(value)))


def _is_left_out(key: Any, value: Any) -> bool:
    """Rates are kept in checkpoints; schedules are not."""
    return key in (*_LEFT_OUT, "name") or (key == "learning_rate" and not isinstance(value, Mapping))


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("name"), str):
            yield value["name"]
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _names(each)


def _of_a_size(value: Any) -> Any:
    text = to_json(value)
    return value if len(text) <= _LARGEST else hashlib.sha256(text.encode()).hexdigest()
