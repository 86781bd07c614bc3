"""`kerasx runs`."""

from __future__ import annotations

from typing import Any

import typer

from kerasx.cli.evaluate import Run
from kerasx.cli.guard import guarded
from kerasx.cli.output import Json, Runs, console, print_json, table

runs = typer.Typer(no_args_is_help=True, help="List and show the runs that were kept.")


@runs.command("list")
@guarded
def list_runs(folder: Runs = "runs", json: Json = False) -> None:
    """List the runs, oldest first."""
    from kerasx.engine import Engine
    from kerasx.plain import named_values

    rows = [_row(run) for run in Engine(runs=folder).list_runs()]
    if json:
        print_json(rows)
        return
    if not rows:
        console().print(f"There are no runs in {folder}.")
        return
    shown = table("run", "status", "strategy", "execution", "evaluation", "seconds")
    for row in rows:
        execution = f"{row['execution']}{' jit' if row['jit'] else ''}" if row["execution"] else ""
        evaluation = "  ".join(named_values(row["evaluation"]))
        seconds = "" if row["seconds"] is None else f"{row['seconds']:.1f}"
        shown.add_row(row["run"], row["status"], row["strategy"], execution, evaluation, seconds)
    console().print(shown)


@runs.command("show")
@guarded
def show_run(run: Run, folder: Runs = "runs", json: Json = False) -> None:
    """Show a run: its experiment, what it ran with, how it ended."""
    import itertools

    from kerasx.engine import Engine
    from kerasx.plain import shown_value

    directory = Engine(runs=folder).run_directory(run)
    if json:
        print_json(
            {
                "run": str(directory.path),
                "experiment": directory.experiment.to_plain(),
                "environment": directory.environment,
                "summary": directory.summary,
            }
        )
        return
    out = console()
    summary, environment = directory.summary, directory.environment
    out.print(f"{directory.path}: {summary.get('status')}\n")
    out.print(directory.experiment.to_toml())
    for note in summary.get("notes") or environment.get("notes") or []:
        out.print(note)
    versions = "  ".join(f"{name} {version}" for name, version in environment.get("versions", {}).items())
    out.print(f"{versions}\n{environment.get('processor')}")
    if reason := summary.get("reason"):
        out.print(f"\n{reason}")
    if history := summary.get("history"):
        shown = table("epoch", *history)
        # A loop may report other names in some epochs: those columns are shorter.
        for epoch, values in enumerate(itertools.zip_longest(*history.values()), start=1):
            shown.add_row(str(epoch), *map(shown_value, values))
        out.print(shown)
        out.print(f"weights {summary.get('weights_digest')}")


def _row(run: Any) -> dict[str, Any]:
    from kerasx.errors import UsageError

    try:
        summary = run.summary
    except UsageError:
        summary = {"status": "damaged"}
    return {
        "run": run.name,
        "status": summary.get("status"),
        "strategy": summary.get("strategy"),
        "execution": summary.get("execution"),
        "jit": summary.get("jit"),
        "evaluation": summary.get("evaluation") or {},
        "seconds": summary.get("seconds"),
        "weights_digest": summary.get("weights_digest"),
    }
