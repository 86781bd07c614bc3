"""`kerasx check`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kerasx.cli.guard import guarded
from kerasx.cli.options import takes_experiment
from kerasx.cli.output import Json, Runs, console, print_json


@guarded
@takes_experiment
def check(
    experiment: Any,
    target: Annotated[
        str,
        typer.Argument(
            metavar="REF",
            help="A step, a loop over batches, a strategy, or a model, its class or builder, by reference; or"
            " an installed strategy.",
            show_default=False,
        ),
    ],
    expect: Annotated[
        str | None,
        typer.Option(
            "--expect",
            metavar="CAUSE,...",
            help="Causes, or stages, in which it is meant to differ; it is held to the rest.",
            show_default=False,
        ),
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option("--scenario", help="Try this one alone; repeatable.", show_default=False),
    ] = None,
    runs: Runs = "runs",
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but results.")] = False,
) -> None:
    """Say whether a step does all that fit does, in scenarios that wake what is otherwise asleep.

    Exits with 1 where it does not.
    """
    from kerasx.engine import Engine
    from kerasx.parity.explain.limit import own_process

    own_process()
    told = (lambda text: None) if quiet else (lambda text: console(err=True).print(text, style="dim"))
    expected = [each.strip() for each in (expect or "").split(",") if each.strip()]
    result = Engine(runs=runs).check(
        target, experiment=experiment, expect=expected, scenarios=scenario or [], told=told
    )
    if json:
        print_json(result.to_dict())
    else:
        _show(result)
    if not result.passed:
        raise typer.Exit(1)


def _show(result: Any) -> None:
    from kerasx.cli.explain import show_finding
    from kerasx.cli.output import table

    out = console()
    shown = table("scenario", "verdict", "causes", "wakes")
    everywhere = next((each.causes for each in result.scenarios if each.name == "plain"), ())
    for each in result.scenarios:
        # What shows everywhere is said once.
        new = [cause for cause in each.causes if each.name == "plain" or cause not in everywhere]
        as_plain = ["as plain"] if len(new) < len(each.causes) else []
        shown.add_row(each.name, each.verdict, ", ".join([*new, *as_plain]), each.said or each.wakes)
    out.print(shown)
    failed = sum(not each.passed for each in result.scenarios)
    tried = sum(each.verdict != "not applicable" for each in result.scenarios)
    if result.passed:
        out.print(f"{result.target} does all that fit does in {tried} scenarios.", style="bold")
    else:
        out.print(f"{result.target} differs from fit in {failed} of {tried} scenarios.", style="bold")
    seen: set[str] = set()
    for each in result.scenarios:
        if each.passed or each.explanation is None:
            continue
        for finding in each.explanation.findings:
            if finding.cause not in seen:
                seen.add(finding.cause)
                out.print(f"\nIn {each.name}:", style="dim")
                show_finding(out, finding)
        if each.explanation.unexplained and "unknown" not in seen:
            seen.add("unknown")
            out.print(f"\nIn {each.name}: {each.explanation.unknown}")
    for idiom in result.idioms:
        out.print(f"\n{idiom.sentence}", markup=False)
    out.print()
    for note in (f"The loss of the scenarios: {result.loss}.", *result.notes, result.blind):
        out.print(note, style="dim")
