"""What is compared: the experiments that names stand for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from kerasx.builtins.article import row_of
from kerasx.errors import UsageError, suggestion
from kerasx.experiment import Experiment
from kerasx.own_modules import known_by
from kerasx.references import References, is_reference, source_digest
from kerasx.registry import Registry
from kerasx.runs.directory import RunDirectory, find_run, list_runs
from kerasx.runs.result import Run

if TYPE_CHECKING:
    from kerasx.assembly.choose import ChosenStrategy
    from kerasx.assembly.resolve import Resolver

# The file that makes a folder a trace: see `parity.storage`.
TRACE = "trace.json"
# Any execution, in which an experiment is the same.
AS_IT_COMES: dict[str, Any] = dict.fromkeys(("execution", "jit", "steps_per_call", "devices"))
ARTICLE = re.compile(r"article:(\d+)")


@dataclass(frozen=True)
class Named:
    """An experiment to compare.

    Attributes:
        name: What it is called in what is shown.
        experiment: With jit settled: off unless it was asked for.
        run: The finished run that it is of; None where it is yet to be trained.
        trace: The folder of the trace that it is; its experiment is then that of nobody.
        measures: Whether a metric is measured that nobody named.
    """

    name: str
    experiment: Experiment = field(repr=False)
    run: RunDirectory | None = None
    trace: Path | None = None
    measures: bool = True

    @property
    def changed(self) -> list[str]:
        """The files of a run's code that are not any more what they were when it was made."""
        recorded = {} if self.run is None else self.run.environment.get("sources", {})
        return [path for path, digest in recorded.items() if not _is_still(path, digest)]

    @property
    def eager(self) -> Named:
        """The same, executed operation by operation, in which what happens within a step can be seen."""
        if self.trace is not None:
            return self
        values = {**AS_IT_COMES, "execution": "eager"}
        return replace(self, experiment=self.experiment.with_values(**values))

    def chosen(self, registry: Registry) -> ChosenStrategy:
        """The strategy and the steps that the experiment names; loading them leaves nothing behind.

        Raises:
            UsageError: There is no such strategy, or its code raises.
            PluginError: The plugin that provides it fails.
        """
        from kerasx.assembly.choose import choose_strategy
        from kerasx.assembly.isolation import isolated

        with isolated(self.experiment.seed, self.experiment.precision, afresh=True):
            return choose_strategy(self.experiment.strategy, self.resolver(registry))

    def has_own_step(self, registry: Registry) -> bool:
        """Whether the strategy is a step or a loop of somebody's, which is given no metric unasked."""
        from kerasx.training.adapters import LoopStrategy

        chosen = self.chosen(registry)
        return chosen.train_step is not None or isinstance(chosen.strategy, LoopStrategy)

    def resolver(self, registry: Registry) -> Resolver:
        """What finds the experiment's parts, with the user's code freshly loaded, within `isolated`."""
        from kerasx.assembly.resolve import Resolver

        base = None if self.run is None else self.run.working_directory
        return Resolver(registry, References(base, known=known_by(self.experiment.handed_over)))


def _is_still(path: str, digest: str) -> bool:
    return Path(path).is_file() and source_digest(path) == digest


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
        vary: Values by field: each name stands for as many experiments as there are combinations.

    A strategy beside a trace trains the experiment of the trace, where nothing is set in the base.

    Raises:
        UsageError: A name stands for nothing, there is only one experiment, or a trace is to be varied.
    """
    held = base if base.model_fields_set - {"strategy"} else _held(names) or base
    found = [_side(name, base, registry, runs, held) for name in (names or [base.strategy.described])]
    if vary and (traced := [side.name for side in found if side.trace is not None]):
        raise UsageError(f"`{traced[0]}` is a trace, of steps that were taken: nothing can be varied in it.")
    for key, values in (vary or {}).items():
        found = [
            replace(
                side,
                name=f"{side.name} {key}={value}",
                experiment=side.experiment.with_values(**{key: value}),
                run=None,
            )
            for side in found
            for value in values
        ]
    if len(found) < 2:
        raise UsageError(
            "There is one training to compare, and nothing to compare it with: name another strategy,"
            " experiment file or run, or give --vary key=value,value."
        )
    return _told_apart([_without_jit(side) for side in found])


def measured_alike(sides: Sequence[Named], registry: Registry) -> list[Named]:
    """The sides without a metric that nobody named, where one of them has a step of its own and so none."""
    trained = [side for side in sides if side.trace is None and side.run is None]
    asked = any(side.experiment.metrics is not None for side in trained)
    if asked or not any(side.has_own_step(registry) for side in trained):
        return list(sides)
    return [replace(side, measures=False) for side in sides]


def side_of(name: Any, base: Experiment, registry: Registry, runs: Path) -> Named:
    """The experiment that one name stands for; arguments and errors as of `sides_of`."""
    return _without_jit(_side(name, base, registry, runs))


def _side(
    name: Any, base: Experiment, registry: Registry, runs: Path, held: Experiment | None = None
) -> Named:
    trained = held or base  # by strategies; files and runs have experiments of their own
    if isinstance(name, Experiment):
        return Named(name.strategy.described, name)
    if isinstance(name, Path):
        name = str(name)
    if isinstance(name, Run):
        name = str(name.directory)
    if not isinstance(name, str):
        return Named(getattr(name, "__name__", type(name).__name__), trained.with_values(strategy=name))
    set_in_base = {field: getattr(base, field) for field in base.model_fields_set if field != "strategy"}
    if registry.find("strategy", name) is not None:
        # A strategy's options in the experiment are kept for the strategy that they are of.
        own = trained.strategy.name == name
        return Named(name, trained if own else trained.with_values(strategy=name))
    if name.endswith(".toml"):
        return Named(name, Experiment.from_toml(name).with_values(**set_in_base))
    if (row := ARTICLE.fullmatch(name)) is not None:
        return Named(name, Experiment.parse({**row_of(int(row[1])).experiment, **set_in_base}))
    known = [run.name for run in list_runs(runs)]
    if (
        name == "last"
        or (Path(name) / "experiment.toml").is_file()
        or any(run.startswith(name) for run in known)
    ):
        run = find_run(name, runs)
        return Named(run.name, run.experiment.with_values(**set_in_base), None if set_in_base else run)
    if (Path(name) / TRACE).is_file():
        return Named(name, trained, trace=Path(name))
    if is_reference(name):
        return Named(name, trained.with_values(strategy=name))
    strategies = [each.spec.name for each in registry.registrations("strategy")]
    raise UsageError(
        f"`{name}` is no strategy, experiment file, run, trace or reference."
        f" {suggestion(name, [*strategies, *known], what='strategies and runs')}"
    )


def _held(names: Sequence[Any]) -> Experiment | None:
    """The experiment that the first trace among some names is of; None where it cannot be trained again."""
    for name in names:
        file = Path(name) / TRACE if isinstance(name, str | Path) else None
        try:
            if file is None or not file.is_file():
                continue
            of_trace = json.loads(file.read_text(encoding="utf-8"))["about"]["experiment"]
            experiment = Experiment.parse(of_trace)
        except (OSError, ValueError, KeyError, TypeError, UsageError):
            return None  # as it is read, it will be said what is wrong with it
        return None if experiment.had_objects else experiment.with_values(**AS_IT_COMES)
    return None


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


def alike(a: Any, b: Any) -> bool:
    """Whether two experiments, or parts of them, are the same; objects are by identity, as arrays may be."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, BaseModel):
        return all(alike(getattr(a, name), getattr(b, name)) for name in type(a).model_fields)
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    return isinstance(a, str | int | float | Path) and bool(a == b)
