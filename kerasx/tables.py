"""TOML files: their tables, and the lines that keys stand on."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kerasx.errors import UsageError, one_line

# Files with more lines are not searched: every line is another beginning to read.
_MOST_LINES = 1000


def text_of(path: Path) -> str:
    """The text of a file.

    Raises:
        UsageError: It is missing, cannot be read or is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"There is no file `{path}`.") from error
    except OSError as error:
        raise UsageError(f"`{path}` cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"`{path}` is not valid TOML: it is no UTF-8 text ({one_line(error)}).") from error
    except ValueError as error:
        raise UsageError(f"`{path}` is not a path: {one_line(error)}.") from error


def parsed_toml(text: str, path: Path) -> dict[str, Any]:
    """The table of a TOML text.

    Args:
        text: Of the file.
        path: Of the file, for messages.

    Raises:
        UsageError: It is no TOML; the line is named.
    """
    try:
        return tomllib.loads(text)
    except ValueError as error:  # a number of too many digits is no TOMLDecodeError
        end = f"at the end, line {len(text.splitlines())}"
        raise UsageError(
            f"`{path}` is not valid TOML: {str(error).replace('at end of document', end)}."
        ) from error
    except RecursionError as error:
        raise UsageError(f"`{path}` is not valid TOML: its values are nested too deeply.") from error


def read_toml(path: Path) -> dict[str, Any]:
    """The table of a TOML file.

    Raises:
        UsageError: The file is missing, cannot be read or is no TOML.
    """
    return parsed_toml(text_of(path), path)


def line_of(keys: Sequence[int | str], text: str) -> int | None:
    """The line on which a key stands.

    Args:
        keys: The key and, before it, those of the tables it is in. What is not in the file is left aside.
        text: Of a TOML file.

    Returns:
        Counted from 1; None where it cannot be told.
    """
    lines = text.splitlines()
    if len(lines) > _MOST_LINES:
        return None
    known = _depth(tomllib.loads(text), keys)
    start = 1
    for number in range(1, len(lines) + 1):
        try:
            # The first lines alone are TOML wherever a statement ends.
            table = tomllib.loads("\n".join(lines[:number]))
        except (ValueError, RecursionError):
            continue
        if 0 < known <= _depth(table, keys):
            return start
        start = number + 1
    return None


def _depth(table: Any, keys: Sequence[int | str]) -> int:
    """How many of the keys lead from table to table."""
    for depth, key in enumerate(keys):
        try:
            table = table[key]
        except (KeyError, IndexError, TypeError):
            return depth
    return len(keys)
