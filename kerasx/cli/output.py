"""Where things are printed: results to standard output, everything else to standard error."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON document on standard output.")]
Runs = Annotated[str, typer.Option("--runs", help="Folder of run directories.", envvar="KERASX_RUNS")]


def console(*, err: bool = False) -> Console:
    """A rich console without markup, so that nothing in data or errors is read as such."""
    from rich.console import Console

    made = Console(stderr=err, markup=False, highlight=False, soft_wrap=True)
    if not made.is_terminal:
        made.width = 200  # what goes to a file or a pipe is not folded at the width of a terminal
    return made


_RESULTS: list[TextIO] = []


@contextlib.contextmanager
def results_alone() -> Iterator[None]:
    """Keep standard output for the JSON document: what anybody else prints goes to standard error."""
    _RESULTS.append(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _RESULTS.pop()


def print_json(value: Any) -> None:
    """Print one JSON document."""
    from kerasx.files import to_json

    typer.echo(to_json(value, indent=2), file=_RESULTS[-1] if _RESULTS else None)


def table(*columns: str) -> Table:
    """A plain table with a heading for each column."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        # What is copied from the first column, a name, stays in one piece.
        made.add_column(column, overflow="fold", no_wrap=number == 0)
    return made
