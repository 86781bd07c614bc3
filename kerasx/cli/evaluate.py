"""`kerasx evaluate`."""

from __future__ import annotations

from typing import Annotated

import typer

from kerasx.cli.guard import guarded
from kerasx.cli.output import Json, Runs, console, print_json

Run = Annotated[
    str, typer.Argument(metavar="RUN", help="Path or name of a run, the beginning of its name, or `last`.")
]


@guarded
def evaluate(
    run: Run,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Other data: registered, reference or .npz file.")
    ] = None,
    runs: Runs = "runs",
    json: Json = False,
) -> None:
    """Evaluate the model of a run on its validation rows, or on other data."""
    from kerasx.cli.reporter import ConsoleReporter
    from kerasx.engine import Engine
    from kerasx.plain import named_values

    engine = Engine(runs=runs)
    results = engine.evaluate(run, dataset=dataset, reporter=ConsoleReporter())
    if json:
        print_json({"run": str(engine.run_directory(run).path), "evaluation": results})
        return
    console().print("  ".join(named_values(results)))
