"""`kerasx train`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from kerasx.cli.guard import guarded
from kerasx.cli.options import takes_experiment
from kerasx.cli.output import Json, Runs, console, print_json
from kerasx.errors import UsageError


@guarded
@takes_experiment
def train(
    experiment: Any,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Resolve everything, train one batch, keep nothing.")
    ] = False,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume", help="Go on with a run, by path, name or `last`.", metavar="RUN", show_default=False
        ),
    ] = None,
    checkpoint_every: Annotated[
        float, typer.Option("--checkpoint-every", help="Keep the state after so many seconds.", min=0.0)
    ] = 60.0,
    runs: Runs = "runs",
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but results.")] = False,
) -> None:
    """Train an experiment and keep the run.

    Without options this is the article's experiment: MNIST, 784-256-128-10 units, sum-squared-error, SGD.
    """
    from kerasx.cli.reporter import ConsoleReporter
    from kerasx.engine import Engine

    engine = Engine(runs=runs)
    if dry_run and resume is not None:
        raise UsageError(
            "`--dry-run` trains one batch of an experiment and keeps nothing, and `--resume` goes on with a"
            " run. Leave one of them out."
        )
    if dry_run:
        result = engine.dry_run(experiment, reporter=ConsoleReporter(quiet=quiet))
        if json:
            print_json(result.to_dict())
        else:
            _show_dry_run(result)
        return
    from kerasx.plain import named_values

    with ConsoleReporter(quiet=quiet) as reporter:
        run = engine.train(
            experiment,
            reporter=reporter,
            command=["kerasx", *sys.argv[1:]],
            resume=resume,
            checkpoint_seconds=checkpoint_every,
        )
    if json:
        print_json(run.to_dict())
        return
    out = console()
    results = "  ".join(named_values(run.evaluation))
    if results:
        out.print(f"evaluation  {results}")
    out.print(f"time        {run.seconds:.1f} s, {run.steps_per_second:,.0f} steps a second")
    out.print(f"weights     {run.weights_digest}")
    out.print(f"run         {run.directory}")


def _show_dry_run(result: Any) -> None:
    import tomli_w

    from kerasx.cli.output import table
    from kerasx.plain import named_values

    out = console()
    out.print(tomli_w.dumps(result.experiment.to_plain()))
    out.print(result.model_summary)
    answers = table("kind", "name", "answered by")
    for answer in result.answers:
        answers.add_row(answer["kind"], answer["name"], answer["answered_by"])
    out.print(answers)
    for note in result.notes:
        out.print(note)
    out.print(f"one batch trained: {'  '.join(named_values(result.logs))}")
    out.print("Nothing was kept.")
