"""Trains rows of the article and sets what is measured beside what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kerasx.builtins.article import Row
from kerasx.engine import Engine

if TYPE_CHECKING:
    from kerasx.runs.reporter import Reporter
    from kerasx.runs.result import Run

_NOTES = {
    1: "Stepped as a TensorFlow function; eagerly, as in the article, it rounds differently and no more.",
    3: "The learning rate makes up for mse's average over ten outputs: the same training as row 4.",
    8: "The same program as row 6 again: what another seed changes.",
}


@dataclass(frozen=True)
class Reproduced:
    """One row with what was measured.

    Attributes:
        row: The row.
        measured: By the names of Keras's logs, values of the last epoch; with what the note speaks of.
        note: The cause of a difference, measured, in one line; empty where there is nothing to say.
        runs: Directories of the row's trainings.
    """

    row: Row
    measured: dict[str, Any]
    note: str
    runs: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The row as `kerasx reproduce --json` prints it."""
        return {
            "row": self.row.number,
            "strategy": self.row.strategy,
            "article": self.row.article,
            "measured": self.measured,
            "note": self.note,
        }


def reproduce(
    row: Row, engine: Engine, *, epochs: int | None = None, reporter: Reporter | None = None
) -> Reproduced:
    """Train a row of the article.

    Args:
        row: Which.
        engine: Keeps the runs.
        epochs: In place of the article's ten.
        reporter: Told about choices and progress.

    Raises:
        UsageError: The epochs are no positive number.
        PluginError: A plugin that the row needs is missing or fails.
    """
    values = row.experiment | ({} if epochs is None else {"epochs": epochs})
    run = engine.train(reporter=reporter, **values)
    others = {
        name: engine.train(reporter=reporter, **{**values, **fields}) for name, fields in row.others.items()
    }
    measured = _last_epoch(run)
    note = _NOTES.get(row.number, "")
    # It imports TensorFlow, which training has started by now.
    from kerasx.article.causes import CAUSES

    if row.number in CAUSES:
        note, more = CAUSES[row.number](run, others)
        measured |= more
    measured |= {name: _last_epoch(other) for name, other in others.items()}
    return Reproduced(row, measured, note, tuple(str(each.directory) for each in (run, *others.values())))


def _last_epoch(run: Run) -> dict[str, Any]:
    return {name: values[-1] for name, values in run.history.items()}
