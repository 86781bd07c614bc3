"""`kerasx compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kerasx.cli.guard import guarded
from kerasx.cli.options import takes_experiment, toml_value
from kerasx.cli.output import Json, Runs, console, print_json
from kerasx.errors import UsageError, suggestion


@guarded
@takes_experiment
def compare(
    experiment: Any,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="A B ...",
            help="Each a strategy, an experiment file, a run, a trace, article:N for a row of the article,"
            " or a strategy by reference.",
            show_default=False,
        ),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary",
            metavar="KEY=VALUE,VALUE",
            help="Compare with several values of a key, such as execution=eager,graph or"
            " optimizer.momentum=0,0.9; repeatable.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds",
            metavar="0,1,2,...",
            help="Train from each seed, for distributions.",
            show_default=False,
        ),
    ] = None,
    save_traces: Annotated[
        Path | None,
        typer.Option("--save-traces", help="Keep traces of the first steps in a folder.", show_default=False),
    ] = None,
    runs: Runs = "runs",
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but results.")] = False,
) -> None:
    """Say whether trainings are the same, agree within rounding, or where they part.

    All else is held equal, and jit is off unless asked for. Exits with 1 where two trainings differ.
    """
    from kerasx.engine import Engine

    engine = Engine(runs=runs)
    told = (lambda text: None) if quiet else (lambda text: console(err=True).print(text, style="dim"))
    result = engine.compare(
        *(names or []),
        experiment=experiment,
        vary=_varied(vary or []),
        seeds=_seeds(seeds),
        traces=save_traces,
        told=told,
    )
    if json:
        print_json(result.to_dict())
    else:
        _show(result)
    if not result.agrees:
        raise typer.Exit(1)


def _varied(settings: list[str]) -> dict[str, list[Any]]:
    """Values by key, in the order in which they are given; a key that is given again has more of them."""
    found: dict[str, list[Any]] = {}
    for setting in settings:
        written, equals, values = setting.partition("=")
        key = _key(written, setting)
        if not equals:
            raise UsageError(f"--vary {setting}: write key=value,value with a key of the experiment.")
        found.setdefault(key, []).extend(toml_value(value) for value in _parts(values))
    return found


def _key(written: str, setting: str) -> str:
    """A field, also as its option is spelled, or an option of a part, as `--set` takes it."""
    from kerasx.experiment import Experiment

    field, *below = (part.strip() for part in written.split("."))
    if (underscored := field.replace("-", "_")) in Experiment.model_fields:
        field = underscored
    if field not in Experiment.model_fields:
        raise UsageError(
            f"--vary {setting}: there is no key `{field}` to vary."
            f" {suggestion(field, Experiment.model_fields, what='keys')}"
        )
    if not all(below):
        raise UsageError(f"--vary {setting}: write component.option=value,value.")
    return ".".join((field, *below))


def _parts(text: str) -> list[str]:
    """The parts between commas that stand in no brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _seeds(text: str | None) -> list[int]:
    try:
        seeds = [int(part) for part in text.split(",")] if text is not None else []
    except ValueError:
        raise UsageError(f"--seeds {text}: write whole numbers, as 0,1,2.") from None
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"--seeds {text}: a seed that is given twice tells nothing more.")
    return seeds


def _show(result: Any) -> None:
    from kerasx.cli.output import table
    from kerasx.curves import curve
    from kerasx.plain import shown_value

    out = console()
    names = list(dict.fromkeys(name for side in result.sides for name in side.evaluation))
    shown = table("", "execution", "seconds", *names, "loss by epoch", "weights")
    for side in result.sides:
        shown.add_row(
            side.name,
            f"{side.execution}{' jit' if side.jit else ''}",
            f"{side.seconds:.1f}",
            *(shown_value(side.evaluation.get(name)) for name in names),
            curve(side.history.get("loss", [])),
            (side.weights_digest or "-")[:12],
        )
    out.print(shown)
    for pair in result.pairs:
        affects = f", in the {pair.affects} only" if pair.affects == "report" else ""
        out.print(f"{pair.a} and {pair.b}: {pair.verdict}{affects}", style="bold")
        out.print(pair.said, soft_wrap=False)
        if not pair.agrees:
            out.print(_evidence(pair))
    if result.distributions:
        _show_distributions(result.distributions)
    for note in result.notes:
        out.print(note)


def _show_distributions(found: Any) -> None:
    from kerasx.cli.output import table
    from kerasx.parity.distributions import contrasts
    from kerasx.parity.shown import SPREADS, spreads

    out = console()
    shown = table(*SPREADS)
    for row in spreads(found):
        shown.add_row(*row)
    out.print(shown)
    for contrast in contrasts(found):
        out.print(contrast.said, soft_wrap=False)


def _evidence(pair: Any) -> Any:
    from kerasx.cli.output import table
    from kerasx.parity.shown import evidence, evidence_heads

    made = table(*evidence_heads(pair))
    for row in evidence(pair):
        made.add_row(*row)
    return made
