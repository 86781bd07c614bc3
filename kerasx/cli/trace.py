"""`kerasx trace`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kerasx.cli.guard import guarded
from kerasx.cli.options import takes_experiment
from kerasx.cli.output import Json, Runs, console, print_json


@guarded
@takes_experiment
def trace(
    experiment: Any,
    name: Annotated[
        str, typer.Argument(help="A strategy, an experiment file, a run, article:N, or one by reference.")
    ],
    folder: Annotated[Path, typer.Argument(help="The folder to write; it must not exist.")],
    runs: Runs = "runs",
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but results.")] = False,
) -> None:
    """Keep what the first steps of a training do, stage by stage, to be compared with later.

    The steps are taken eagerly. `kerasx compare FOLDER ...` takes them again from the states that are kept.
    """
    from kerasx.engine import Engine

    told = (lambda text: None) if quiet else (lambda text: console(err=True).print(text, style="dim"))
    path = Engine(runs=runs).trace(name, folder, experiment=experiment, told=told)
    if json:
        print_json({"trace": str(path)})
    else:
        console().print(f"trace       {path}")
