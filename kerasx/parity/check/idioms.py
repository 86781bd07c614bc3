"""Idioms of Keras 2 in a user's source, and what to write today."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterable, Iterator
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
# Whose code is not the user's, and of which classes are.
_FOREIGN = ("builtins", "abc", "typing", "keras", "tensorflow", "kerasx")
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
    """The idioms in the source of a function or class, each once; none where there is no source.

    Looked at is also what it derives from and what it calls by name in its own module.
    """
    target = value if inspect.isclass(value) or inspect.isroutine(value) else type(value)
    waiting, seen = [inspect.unwrap(target)], set[Any]()
    found: list[Idiom] = []
    while waiting:
        part = waiting.pop(0)
        if part in seen or (getattr(part, "__module__", None) or "").partition(".")[0] in _FOREIGN:
            continue
        seen.add(part)
        if inspect.isclass(part):
            waiting += part.__bases__
        if (source := _source(part)) is not None:
            tree, file, start = source
            waiting += _called(tree, part)
            in_order = sorted(_found(tree), key=lambda each: each[1])
            found += (Idiom(name, file, start + line - 1, instead) for name, line, instead in in_order)
    return each_once(found)


def each_once(idioms: Iterable[Idiom]) -> tuple[Idiom, ...]:
    """The first of each name."""
    found: dict[str, Idiom] = {}
    for idiom in idioms:
        found.setdefault(idiom.name, idiom)
    return tuple(found.values())


def _source(part: Any) -> tuple[ast.AST, str, int] | None:
    """What the source of a function or class says, the name of its file, and the line it begins in."""
    try:
        lines, start = inspect.getsourcelines(part)
        file = inspect.getsourcefile(part) or ""
        return ast.parse(textwrap.dedent("".join(lines))), Path(file).name, start
    except (OSError, TypeError, SyntaxError):
        return None


def _called(tree: ast.AST, part: Any) -> Iterator[Any]:
    """The functions and classes of its own module that some source calls by their names."""
    names = vars(sys.modules[part.__module__]) if part.__module__ in sys.modules else {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called = inspect.unwrap(names[node.func.id]) if node.func.id in names else None
            has_source = inspect.isfunction(called) or inspect.isclass(called)
            if has_source and called.__module__ == part.__module__:
                yield called


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
