"""The options that an implementation takes, as help shows them."""

from __future__ import annotations

import inspect
from typing import Any

from pydantic_core import PydanticUndefined

from kerasx.training.strategy import StepStrategy

# Parameters that kerasx fills in, not the user; `name` is the name of the component itself.
_OFFERED = ("name", "signature", "run_directory", "self", "y_true", "y_pred", "model", "data", "batches")


def options_of(implementation: Any) -> list[dict[str, Any]]:
    """The options of a strategy, model, loss, metric, data set or callback.

    Returns:
        For each option its name, its type as text, its default (absent where it is required) and its
        description, which may be empty.
    """
    if isinstance(implementation, type) and issubclass(implementation, StepStrategy):
        return [
            _row(name, field.annotation, field.default, PydanticUndefined, field.description or "")
            for name, field in implementation.options_type.model_fields.items()
        ]
    try:
        parameters = inspect.signature(implementation).parameters.values()
    except (TypeError, ValueError):
        return []
    return [
        _row(p.name, p.annotation, p.default, inspect.Parameter.empty, "")
        for p in parameters
        if p.name not in _OFFERED and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]


def _row(name: str, annotation: Any, default: Any, no_default: Any, description: str) -> dict[str, Any]:
    if annotation is inspect.Parameter.empty:
        kind = "any"
    else:
        kind = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    row = {"name": name, "type": kind, "description": " ".join(description.split())}
    return row if default is no_default else {**row, "default": default}
