"""What names stand for: strategies, files, rows, runs, traces, objects; and their values that are varied."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kerasx.builtins.article import row_of
from kerasx.errors import UsageError, suggestion
from kerasx.experiment import Experiment
from kerasx.parity.fields import from_here, is_elsewhere, with_option
from kerasx.parity.sides import AS_IT_COMES, TRACE, Named
from kerasx.references import is_reference
from kerasx.registry import Registry
from kerasx.runs.directory import find_run, list_runs
from kerasx.runs.result import Run

ARTICLE = re.compile(r"article:(\d+)")


def sides_of(
    names: Sequence[Any],
    base: Experiment,
    registry: Registry,
    runs: Path,
    vary: Mapping[str, Sequence[Any]] | None = None,
) -> list[Named]:
    """The experiments that names stand for.

    Args:
        names: Each a strategy, an experiment file, a run, a trace, or a strategy by reference, tried in this
            order; or `article:N`, a row of the article; or an experiment; or a step, loop or strategy as an
            object. None at all for the base's own strategy.
        base: What strategies train; what is set in it goes before what files and rows say.
        registry: The engine's plugins.
        runs: The folder of run directories.
        vary: Values by field, or by option of a part (`optimizer.momentum`): each name stands for as many
            experiments as there are combinations.

    A strategy beside a trace trains the experiment of the trace, and one beside an experiment, a file or a
    run that of the first of these, where the base names no model and no data.

    Raises:
        UsageError: A name stands for nothing, there is only one experiment, or a trace is to be varied.
    """
    found = named(names, base, registry, runs)
    if vary and (traced := [side.name for side in found if side.trace is not None]):
        raise UsageError(f"`{traced[0]}` is a trace, of steps that were taken: nothing can be varied in it.")
    # A part is replaced before its options are set.
    vary = dict(sorted((vary or {}).items(), key=lambda item: "." in item[0]))
    if "eager" in vary.get("execution", ()) and "jit" not in base.model_fields_set | vary.keys():
        found = [_with_jit_open(side) for side in found]
    for key, values in vary.items():
        found = [_with_varied(side, key, value) for side in found for value in values]
    if len(found) < 2:
        raise UsageError(
            "There is one training to compare, and nothing to compare it with: name another strategy,"
            " experiment file or run, or give --vary key=value,value."
        )
    return _told_apart([_without_jit(side) for side in found])  # a value that was varied may be none


def named(names: Sequence[Any], base: Experiment, registry: Registry, runs: Path) -> list[Named]:
    """What each of some names stands for, not varied and not told apart; arguments as of `sides_of`.

    Raises:
        UsageError: A name stands for nothing.
    """
    held = _held(names, base, registry, runs)
    chosen = names or [base.strategy.described]
    return [_without_jit(_side(name, base, registry, runs, held)) for name in chosen]


def side_of(name: Any, base: Experiment, registry: Registry, runs: Path) -> Named:
    """The experiment that one name stands for; arguments and errors as of `sides_of`."""
    return _without_jit(_side(name, base, registry, runs, Named("", base)))


def _side(name: Any, base: Experiment, registry: Registry, runs: Path, held: Named) -> Named:
    """What a name stands for; strategies train what is held, files and runs have experiments of their own."""
    if (own := _with_experiment(name, base, registry, runs)) is not None:
        return own
    if isinstance(name, Path):
        name = str(name)
    if not isinstance(name, str):
        return _training(held, getattr(name, "__name__", type(name).__name__), name)
    if registry.find("strategy", name) is not None:
        # A strategy's options in the experiment are kept for the strategy that they are of.
        return replace(held, name=name) if held.experiment.strategy.name == name else _training(held, name)
    if (Path(name) / TRACE).is_file():
        return Named(name, held.experiment, trace=Path(name))
    if is_reference(name):
        return _training(held, name, from_here(name) if is_elsewhere(held.run) else name)
    strategies = [each.spec.name for each in registry.registrations("strategy")]
    known = [run.name for run in list_runs(runs)]
    raise UsageError(
        f"`{name}` is no strategy, experiment file, run, trace or reference."
        f" {suggestion(name, [*strategies, *known], what='strategies and runs')}"
    )


def _training(held: Named, name: str, strategy: Any = None) -> Named:
    strategy = name if strategy is None else strategy
    return replace(held, name=name, experiment=held.experiment.with_values(strategy=strategy))


def _with_experiment(name: Any, base: Experiment, registry: Registry, runs: Path) -> Named | None:
    """What a name of an experiment, a file, a row or a run stands for; None of any other name."""
    if isinstance(name, Experiment):
        return Named(name.strategy.described, name)
    if isinstance(name, Run):
        name = name.directory
    if isinstance(name, Path):
        name = str(name)
    if not isinstance(name, str) or registry.find("strategy", name) is not None:
        return None
    if name.endswith(".toml"):
        return Named(name, Experiment.from_toml(name).with_values(**_set_in(base)))
    if (row := ARTICLE.fullmatch(name)) is not None:
        return Named(name, Experiment.parse({**row_of(int(row[1])).experiment, **_set_in(base)}))
    if (
        name == "last"
        or (Path(name) / "experiment.toml").is_file()
        or any(run.name.startswith(name) for run in list_runs(runs))
    ):
        run = find_run(name, runs)
        side = Named(run.name, run.experiment, run, recorded=not _set_in(base))
        return side if side.recorded else _with_own_values(side, _set_in(base))
    return None


def _with_own_values(side: Named, values: Mapping[str, Any]) -> Named:
    """An experiment with values whose paths start here, also where those of its run do not."""
    if is_elsewhere(side.run):
        values = from_here(values)
    if values.get("execution") == "eager" and "jit" not in values:
        side = _with_jit_open(side)
    return replace(side, experiment=side.experiment.with_values(**values))


def _set_in(base: Experiment) -> dict[str, Any]:
    """What goes before the values of files, rows and runs."""
    return {field: getattr(base, field) for field in base.model_fields_set if field != "strategy"}


def _with_jit_open(side: Named) -> Named:
    """Without the jit that a run had for another execution, which eager ones cannot have."""
    if side.run is None:
        return side
    return replace(side, experiment=side.experiment.with_values(jit=None))


def _with_varied(side: Named, key: str, value: Any) -> Named:
    varied = with_option(side.experiment, key, from_here(value) if is_elsewhere(side.run) else value)
    return replace(side, name=f"{side.name} {key}={value}", experiment=varied, recorded=False)


def _held(names: Sequence[Any], base: Experiment, registry: Registry, runs: Path) -> Named:
    """What strategies among some names train, under no name: the experiment of the first trace, or of the
    first other name that has one, with what is set in the base; or the base."""
    if base.model_fields_set & {"model", "dataset"}:
        return Named("", base)
    traced = [str(name) for name in names if isinstance(name, str | Path) and (Path(name) / TRACE).is_file()]
    if traced:
        experiment = _traced_experiment(Path(traced[0]))
        if experiment is None:
            return Named("", base)
        return Named("", experiment.with_values(**AS_IT_COMES | _set_in(base)), of=traced[0])
    for name in names:
        if isinstance(name, str) and ARTICLE.fullmatch(name):
            continue
        own = _with_experiment(name, base, registry, runs)
        if own is None:
            continue
        values = _set_in(base)
        if own.run is not None:
            # Its record says how it was executed, whoever chose that.
            values = {"execution": None, "steps_per_call": None} | values
        return replace(_with_own_values(own, values), name="", of=own.name, recorded=False)
    return Named("", base)


def _traced_experiment(trace: Path) -> Experiment | None:
    """The experiment that a trace is of; None where it cannot be trained again."""
    try:
        about = json.loads((trace / TRACE).read_text(encoding="utf-8"))["about"]
        experiment = Experiment.parse(about["experiment"])
    except (OSError, ValueError, KeyError, TypeError, UsageError):
        return None  # as it is read, it will be said what is wrong with it
    return None if experiment.had_objects else experiment


def _without_jit(side: Named) -> Named:
    if side.experiment.jit is not None:
        return side
    return replace(side, experiment=side.experiment.with_values(jit=False))


def _told_apart(sides: list[Named]) -> list[Named]:
    seen: dict[str, int] = {}
    result = []
    for side in sides:
        seen[side.name] = seen.get(side.name, 0) + 1
        result.append(
            side if seen[side.name] == 1 else replace(side, name=f"{side.name} ({seen[side.name]})")
        )
    return result
