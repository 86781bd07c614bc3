"""Going on with a run: what of it is there, and whether it is the same experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kerasx.checkpoint.folder import Checkpoint, forget, newest
from kerasx.component import components_of
from kerasx.errors import UsageError
from kerasx.experiment import Experiment
from kerasx.runs.directory import CHECKPOINTS, RunDirectory


@dataclass(frozen=True)
class Resumption:
    """A run that is to be gone on with.

    Attributes:
        directory: Of the run.
        experiment: What it trains; more epochs than before, perhaps.
        checkpoint: Where it goes on; None for the beginning.
        notes: What is to be said.
    """

    directory: RunDirectory
    experiment: Experiment
    checkpoint: Checkpoint | None
    notes: tuple[str, ...]

    @property
    def was_ended(self) -> bool:
        """Whether a callback has ended the training."""
        state = None if self.checkpoint is None else self.checkpoint.state
        return state is not None and state["stopped"] and not state["step"]

    @property
    def first_epoch(self) -> int:
        """The epoch to begin with; that after the last where a callback has ended the training."""
        if self.checkpoint is None:
            return 0
        return self.experiment.epochs if self.was_ended else int(self.checkpoint.state["epoch"])


def with_asked(recorded: Experiment, experiment: Experiment | None, values: Mapping[str, Any]) -> Experiment:
    """A run's experiment with what is asked for in place of what it says."""
    given = set() if experiment is None else experiment.model_fields_set - {*values}
    named = {name: getattr(experiment, name) for name in given}
    return recorded.with_values(**{k: v for k, v in named.items() if v is not None}, **values)


def check_resumable(directory: RunDirectory, asked: Experiment) -> None:
    """See that a run can be gone on with, before time is spent.

    Args:
        directory: Of the run.
        asked: The run's experiment with what is asked for now.

    Raises:
        UsageError: It has finished, is of another experiment, or of objects that are not there.
    """
    recorded = directory.experiment
    if differing := list(_differences(_compared(recorded), _compared(asked))):
        raise UsageError(
            f"{directory.name} is another experiment, and cannot be gone on with as this one:"
            f" {'; '.join(differing)}. Only more epochs can be asked for; else train a new run."
        )
    if asked.epochs < recorded.epochs:
        raise UsageError(
            f"{directory.name} is of {recorded.epochs} epochs, and cannot be gone on with to"
            f" {asked.epochs}: ask for as many or more."
        )
    if directory.summary.get("status") == "finished":
        ended = directory.summary.get("ended_by_callback")
        if ended or asked.epochs == recorded.epochs:
            how = (
                "a callback has ended its training" if ended else f"all {recorded.epochs} epochs are trained"
            )
            more = "" if ended else f" To train on: --epochs {recorded.epochs * 2}."
            raise UsageError(f"{directory.name} is finished: {how}.{more}")
    if missing := _missing_objects(recorded, asked):
        raise UsageError(
            f"For {directory.name} objects were handed over for {', '.join(missing)}, which no file keeps:"
            " hand them over again, with `Engine.train(experiment, resume=run)`."
        )


def check_objects(run: str, recorded: Any, now: Mapping[str, Any]) -> None:
    """See that objects and what functions make are what they were when a run was begun.

    Args:
        run: Its name.
        recorded: What they said of themselves then; None of a run that did not ask them.
        now: What they say now.

    Raises:
        UsageError: They are others.
    """
    if not isinstance(recorded, Mapping):
        return
    both = [name for name in recorded if name in now]
    differing = list(_differences({n: recorded[n] for n in both}, {n: now[n] for n in both}))
    if differing:
        more = f"; and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise UsageError(
            f"{run} was begun with other objects, and cannot be gone on with by these:"
            f" {'; '.join(differing[:3])}{more}. Hand over the same, or train a new run."
        )


def resumption(directory: RunDirectory, asked: Experiment) -> Resumption:
    """What there is to go on with; checkpoints that are damaged are set aside.

    Raises:
        UsageError: All checkpoints are damaged, or one cannot be read.
    """
    checkpoint, said = newest(directory.path / CHECKPOINTS)
    forget(directory.path / CHECKPOINTS, checkpoint)
    where = "from the beginning: there is no checkpoint" if checkpoint is None else f"at {checkpoint.where}"
    return Resumption(directory, asked, checkpoint, (*said, f"going on with {directory.name} {where}"))


def _compared(experiment: Experiment) -> dict[str, Any]:
    return {name: value for name, value in experiment.to_plain().items() if name != "epochs"}


def _missing_objects(recorded: Experiment, asked: Experiment) -> list[str]:
    """Fields in which objects stood when the run was begun, and stand no more."""
    stood = {
        name
        for name in Experiment.model_fields
        if any(each.was_object for each in components_of(getattr(recorded, name)))
    }
    return sorted(stood - {*asked.objects})


def _differences(recorded: Any, asked: Any, name: str = "") -> Iterator[str]:
    if isinstance(recorded, Mapping) and isinstance(asked, Mapping):
        for key in dict.fromkeys([*recorded, *asked]):
            yield from _differences(recorded.get(key), asked.get(key), f"{name}.{key}" if name else str(key))
    elif recorded != asked:
        yield f"`{name}` is {_shown(recorded)} in the run, and {_shown(asked)} is asked for"


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)
