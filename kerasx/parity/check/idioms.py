"""Idioms of Keras 2 in a user's source, and what to write today."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TODAY = {
    "compiled_loss": "`model.compute_loss(x, y, y_pred, sample_weight)`, which adds the losses of layers by"
    " itself; the loss that is reported needs its own mean, as `kerasx.track_loss` keeps it",
    "compiled_metrics": "`model.compute_metrics(x, y, y_pred, sample_weight)`, which updates the metrics and"
    " returns their results",
    "get_scaled_loss": "`optimizer.scale_loss(loss)`",
    "get_unscaled_gradients": "nothing: `optimizer.apply` unscales gradients by itself",
    "reset_states": "`reset_state()`",
    "minimize": "`tape.gradient` and `optimizer.apply(gradients, model.trainable_variables)`",
}
_METRICS = (
    "nothing, as a rule: Keras finds metrics that are attributes by itself, and resets them. A property"
    " `metrics` hides those that are compiled in, and the mean of the loss: `return [*super().metrics, ...]`"
)


@dataclass(frozen=True)
class Idiom:
    """An idiom that was found.

    Attributes:
        name: As it is written.
        file: Where.
        line: Where, counted from 1.
        instead: What to write.
    """

    name: str
    file: str
    line: int
    instead: str

    @property
    def sentence(self) -> str:
        """Where it is, and what to write."""
        return f"{self.file}:{self.line}: `{self.name}` is of Keras 2. Today: {self.instead}."

    def to_dict(self) -> dict[str, Any]:
        """As `kerasx check --json` prints it."""
        return dict(vars(self))


def idioms_in(value: Any) -> tuple[Idiom, ...]:
    """The idioms in the source of a function or class, each once; none where there is no source."""
    target = value if inspect.isclass(value) or inspect.isroutine(value) else type(value)
    if (target.__module__ or "").partition(".")[0] in ("keras", "kerasx"):
        return ()
    try:
        lines, start = inspect.getsourcelines(inspect.unwrap(target))
        file = inspect.getsourcefile(inspect.unwrap(target)) or ""
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return ()
    found: dict[str, Idiom] = {}
    for name, line, instead in _found(tree):
        found.setdefault(name, Idiom(name, Path(file).name, start + line - 1, instead))
    return tuple(found.values())


def _found(tree: ast.AST) -> Iterator[tuple[str, int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in _TODAY:
            yield node.attr, node.lineno, _TODAY[node.attr]
        if isinstance(node, ast.ClassDef):
            for each in node.body:
                if isinstance(each, ast.FunctionDef) and each.name == "metrics" and not _asks_super(each):
                    yield "metrics", each.lineno, _METRICS


def _asks_super(function: ast.FunctionDef) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "super" for node in ast.walk(function))
