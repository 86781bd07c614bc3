"""`kerasx reproduce`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kerasx.cli.guard import guarded
from kerasx.cli.output import Json, Runs, console, print_json


@guarded
def reproduce(
    row: Annotated[
        list[int] | None, typer.Option("--row", help="Only this row; repeatable. (Default: all ten.)")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", help="In place of the article's ten.", show_default=False)
    ] = None,
    runs: Runs = "runs",
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but results.")] = False,
) -> None:
    """Train the article's ten rows and show each beside its figures, with the cause of what differs."""
    from kerasx.article.reproduce import reproduce as reproduce_row
    from kerasx.builtins.article import ROWS, row_of
    from kerasx.cli.reporter import ConsoleReporter
    from kerasx.engine import Engine

    rows = [row_of(number) for number in row] if row else list(ROWS)
    engine, done = Engine(runs=runs), []
    for each in rows:
        if not quiet:
            console(err=True).print(f"row {each.number}: {each.strategy}, {each.told}", style="bold")
        with ConsoleReporter(quiet=quiet) as reporter:
            done.append(reproduce_row(each, engine, epochs=epochs, reporter=reporter))
    if json:
        print_json({"rows": [each.to_dict() for each in done]})
        return
    _show(done)


def _show(done: list[Any]) -> None:
    from kerasx.cli.output import table

    shown = table("row", "strategy", "", "article", "measured", "loss", "val_loss")
    notes = []
    for each in done:
        row, measured = each.row, each.measured
        shown.add_row(
            str(row.number),
            row.strategy,
            row.told,
            _accuracies(row.article),
            _accuracies(measured),
            f"{measured['loss']:.4f}",
            f"{measured['val_loss']:.4f}",
        )
        for name in row.others:
            other = measured[name]
            losses = (f"{other['loss']:.4f}", f"{other['val_loss']:.4f}")
            shown.add_row("", "", f"the same with {name}", "", _accuracies(other), *losses)
        if each.note:
            notes.append(f"row {row.number}: {each.note}")
    out = console()
    out.print("Accuracy in the last epoch's training and in validation:")
    out.print(shown)
    for note in notes:
        out.print(note, soft_wrap=False)


def _accuracies(values: dict[str, Any]) -> str:
    """Training and validation accuracy, and the true ones where the meter was wrong."""

    def pair(prefix: str) -> str:
        both = [values.get(f"{prefix}accuracy"), values.get(f"val_{prefix}accuracy")]
        return " / ".join(_percent(value) for value in both if value is not None)

    true = pair("true_")
    return pair("") + (f", true {true}" if true else "")


def _percent(value: float) -> str:
    """With the digits there are, at most two: the article says 93 % of some rows and 96.61 % of others."""
    return f"{value * 100:.2f}".rstrip("0").rstrip(".") + "%"
