"""`kerasx export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kerasx.cli.evaluate import Run
from kerasx.cli.guard import guarded
from kerasx.cli.output import Json, Runs, console, print_json


@guarded
def export(
    run: Run,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="File or folder to write; it must not exist.")],
    format: Annotated[
        str | None,
        typer.Option("--format", help="keras (.keras), weights (.weights.h5) or saved-model (a folder)."),
    ] = None,
    runs: Runs = "runs",
    json: Json = False,
) -> None:
    """Write the model of a run in one of Keras's own formats."""
    from kerasx.cli.reporter import ConsoleReporter
    from kerasx.engine import Engine

    written = Engine(runs=runs).export(run, path, format=format, reporter=ConsoleReporter())
    if json:
        print_json({"path": str(written)})
        return
    console().print(f"{written}")
