"""`kerasx explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kerasx.cli.guard import guarded
from kerasx.cli.options import takes_experiment
from kerasx.cli.output import Json, Runs, console, print_json


@guarded
@takes_experiment
def explain(
    experiment: Any,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[A] B",
            help="What is to be explained, and what it is held against: names as for compare. One name alone"
            " is held against what Keras's fit does.",
            show_default=False,
        ),
    ] = None,
    again: Annotated[
        Path | None,
        typer.Option(
            "--again",
            help="Run the proof of an explanation again that --json printed.",
            show_default=False,
        ),
    ] = None,
    runs: Runs = "runs",
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but results.")] = False,
) -> None:
    """Name the causes for which two trainings differ, and prove them.

    Exits with 1 where they differ.
    """
    from kerasx.engine import Engine
    from kerasx.parity.explain.limit import own_process

    own_process()
    told = (lambda text: None) if quiet else (lambda text: console(err=True).print(text, style="dim"))
    result = Engine(runs=runs).explain(*(names or []), experiment=experiment, again=again, told=told)
    if json:
        print_json(result.to_dict())
    else:
        show(result)
    if not result.agrees:
        raise typer.Exit(1)


def show(result: Any) -> None:
    """Print an explanation for people."""
    out = console()
    affects = {"report": ", in the report only", "training": ", in the training"}.get(result.affects, "")
    if result.is_doubtful:
        out.print(result.reference, style="red")
    out.print(f"{result.a} and {result.b}: {result.verdict}{affects}", style="bold")
    for number, finding in enumerate(result.findings):
        out.print()
        show_finding(out, finding, with_evidence=number == 0)
    if result.unexplained:
        out.print(result.unknown)
    if result.apart:
        out.print(result.apart)
    for findings in result.alternatives:
        for finding in findings:
            out.print(f"Or: {finding.sentence}  [{finding.cause}]", markup=False)
    for note in (*result.notes, *([] if result.is_doubtful else [result.reference])):
        out.print(note, style="dim")


def show_finding(out: Any, finding: Any, *, with_evidence: bool = True) -> None:
    """Print one cause, what proves it, and what to change."""
    from kerasx.cli.output import table
    from kerasx.plain import shown_value

    out.print(f"{finding.sentence}  [{finding.cause}]", markup=False)
    if with_evidence and finding.evidence:
        shown = table("stage", "quantity", "Keras", finding.side, "difference", "with the cause", "noise")
        for each in finding.evidence:
            shown.add_row(
                each.stage,
                each.quantity,
                shown_value(each.keras),
                shown_value(each.side),
                *("-" if v is None else f"{v:.1e}" for v in (each.relative, each.with_cause, each.noise)),
            )
        out.print(shown)
    out.print(f"Change: {finding.fix}", soft_wrap=False)
    if finding.code:
        out.print(f"    {finding.code}", style="cyan", markup=False, soft_wrap=True)
    out.print(finding.consequences, soft_wrap=False)
    if finding.verified:
        out.print(f"Proof: with it in the reference every stage agrees; without it, {finding.necessary}.")
    for cause, left in finding.rivals[:2]:
        out.print(f"Not `{cause}`: {left}.", style="dim")
