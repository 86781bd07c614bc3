"""`kerasx predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kerasx.cli.evaluate import Run
from kerasx.cli.guard import guarded
from kerasx.cli.output import Json, Runs, console, print_json


@guarded
def predict(
    run: Run,
    input: Annotated[
        Path,
        typer.Option("--input", help="npz file with the rows: its only array, `x`, or one for each input."),
    ],
    output: Annotated[Path, typer.Option("--output", help="npz file to write; it must not exist.")],
    runs: Runs = "runs",
    json: Json = False,
) -> None:
    """Write the outputs of a run's model for the rows of an npz file.

    The file written holds the array `predictions`, or one array for each output.
    """
    from kerasx.cli.reporter import ConsoleReporter
    from kerasx.engine import Engine

    result = Engine(runs=runs).predict_file(run, input, output, reporter=ConsoleReporter())
    if json:
        print_json({"output": str(output), "arrays": {name: list(shape) for name, shape in result.items()}})
        return
    for name, shape in result.items():
        console().print(f"{name} {list(shape)} in {output}")
