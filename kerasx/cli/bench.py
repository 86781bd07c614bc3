"""`kerasx bench`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kerasx.cli.guard import guarded
from kerasx.cli.options import takes_experiment
from kerasx.cli.output import Json, console, print_json

_EPOCHS = 4


@guarded
@takes_experiment
def bench(
    experiment: Any,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Only rows that are called or begin so; repeatable. (Default: all.)"),
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How often each row is measured.")] = 3,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but results.")] = False,
) -> None:
    """Measure how fast each strategy trains in each execution, beside plain programs.

    Every row is a process of its own; rows take turns, and medians are shown. Without --epochs each process
    trains four, of which the first is not counted. Close what else is running.
    """
    from kerasx.bench.measurement import measure

    if "epochs" not in experiment.model_fields_set:
        experiment = experiment.with_values(epochs=_EPOCHS)
    out = console(err=True)

    def told(text: str) -> None:
        if not quiet:
            out.print(text, style="dim")

    report = measure(experiment, rounds=rounds, only=only or (), told=told)
    if json:
        print_json(report.to_dict())
    else:
        _show(report)


def _show(report: Any) -> None:
    from kerasx.cli.output import table

    shown = table("", "compile", "an epoch", "steps/s", "x model.fit", "memory", "process", "bits")
    rows = report.to_dict()["rows"]
    reasons = [f"{row['name']}: {row['error']}" for row in rows if row["error"] is not None]
    for row in rows:
        if row["epoch_seconds"] is None:
            shown.add_row(row["name"], *["-"] * 7)
            continue
        bits = row["bits"] or "-"
        if row["drift"] is not None:
            bits = f"within {row['drift']:.1g}"
        shown.add_row(
            row["name"],
            f"{row['compile_seconds']:.1f} s",
            f"{row['epoch_seconds']:.2f} s{'' if row['share'] == 1 else ' *'}",
            "-" if row["steps_per_second"] is None else f"{row['steps_per_second']:,.0f}",
            f"{row['ratio']:.2f}",
            f"{row['peak_bytes'] / 2**20:,.0f} MiB",
            f"{row['process_seconds']:.1f} s",
            bits,
        )
    out = console()
    out.print(shown)
    if any(row.contestant.share < 1 and row.rounds for row in report.rows):
        out.print("* measured on a tenth of the rows")
    for reason in reasons:
        out.print(f"not measured: {reason}")
    machine = report.machine
    out.print(
        f"{machine['processor']}, {machine['processors']} processors; matrix products at"
        f" {report.survey['rate'] / 1e9:.0f} GFLOP/s{_floor(report)}."
    )
    out.print("bits: of the weights, beside model.fit's on the same batches at the same jit setting.")


def _floor(report: Any) -> str:
    if report.floor_seconds is None or report.floor_seconds < 0.005:
        return ""  # what is that little arithmetic is no floor
    return (
        f", at which the {report.survey['operations'] / 1e9:.2g} GFLOP of an epoch take"
        f" {report.floor_seconds:.2f} s"
    )
