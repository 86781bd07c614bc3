"""What goes wrong, as kerasx tells it: each error knows the exit code of the command line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

# Keras writes parts of its messages for a terminal.
_BOLD = re.compile(r"\x1b\[[0-9;]*m")


class KerasxError(Exception):
    """Base of every error that kerasx raises on purpose.

    Args:
        message: What is wrong, where, and what to do about it.

    Attributes:
        exit_code: What the command line exits with.
        details: A longer text (a plugin's traceback, say) that is shown only when asked for.
        lines: Those of the user's own code that led to it, each as `file, line N, in function: code`.
    """

    exit_code = 1

    def __init__(self, message: str, *, details: str | None = None, lines: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.details = details
        self.lines = tuple(lines)


class UsageError(KerasxError):
    """Bad input: an unknown name, a wrong value, data that does not fit, user code that raises."""

    exit_code = 2


class PluginError(KerasxError):
    """A plugin that was asked for by name failed, or two plugins claim one name."""

    exit_code = 3


class NonFiniteError(KerasxError):
    """Training produced a loss or a weight that is not a finite number."""

    exit_code = 4


class Interrupted(KeyboardInterrupt):
    """A signal asked training to end.

    Args:
        signal_number: The signal; the command line exits with 128 more than it.

    Attributes:
        exit_code: What the command line exits with.
        resumes: The command that goes on with the run; None where there is nothing to go on with.
    """

    resumes: str | None = None

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number


def one_line(error: BaseException, *, limit: int = 400) -> str:
    """An exception in one line: its class and its message, which may have many lines or none."""
    try:
        text = " ".join(_without_graph(_BOLD.sub("", str(error))).split())
    except Exception:  # an exception's own __str__ may raise
        text = ""
    return (
        f"{type(error).__name__}: {text[:limit]}{'...' if len(text) > limit else ''}"
        if text
        else type(error).__name__
    )


def _without_graph(text: str) -> str:
    """A TensorFlow message without the places in the graph that it begins and ends with."""
    text = re.sub(r"\{\{function_node [^}]*\}\}\s*", "", text)
    if not text.startswith("Graph execution error"):
        return text
    places = (
        "Graph execution error",
        "Detected at node",
        "File ",
        "<stack traces unavailable>",
        "[[",
        "Stack trace",
    )
    lines = [line.strip() for line in text.splitlines()]
    said = [line for line in lines if line and not line.startswith(places)]
    return " ".join(said).partition("[Op:")[0] or text


def nearest(name: str, known: Iterable[str], *, limit: int = 3) -> list[str]:
    """The known names that look most like `name`, best first; empty where none comes close."""
    by_folded: dict[str, str] = {}
    for candidate in known:
        by_folded.setdefault(_folded(candidate), candidate)
    matches = difflib.get_close_matches(_folded(name), by_folded, n=limit, cutoff=0.55)
    return [by_folded[match] for match in matches]


def _folded(name: str) -> str:
    return name.casefold().replace("_", "-")


def suggestion(name: str, known: Iterable[str], *, what: str = "names") -> str:
    """A sentence that offers the nearest valid names, or all of them where none is near."""
    known = sorted(set(known))
    if close := nearest(name, known):
        return f"Did you mean {_listed(close, 'or')}?"
    if not known:
        return f"There are no {what}."
    shown = ", ".join(known[:30])
    return f"The {what} are: {shown}{', ...' if len(known) > 30 else '.'}"


def _listed(names: list[str], conjunction: str) -> str:
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} {conjunction} {quoted[-1]}"
