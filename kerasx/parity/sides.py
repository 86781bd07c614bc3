"""What is compared: experiments, each to be trained or as a run or a trace has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from kerasx.experiment import Experiment
from kerasx.own_modules import known_by
from kerasx.references import References, source_digest
from kerasx.registry import Registry
from kerasx.runs.directory import RunDirectory

if TYPE_CHECKING:
    from kerasx.assembly.choose import ChosenStrategy
    from kerasx.assembly.resolve import Resolver

# The file that makes a folder a trace: see `parity.storage`.
TRACE = "trace.json"
# Any execution, in which an experiment is the same.
AS_IT_COMES: dict[str, Any] = dict.fromkeys(("execution", "jit", "steps_per_call", "devices"))


@dataclass(frozen=True)
class Named:
    """An experiment to compare.

    Attributes:
        name: What it is called in what is shown.
        experiment: With jit settled: off unless it was asked for.
        run: The finished run whose experiment it is, in the folder that this was started in; None of none.
        recorded: Whether the record of that run is compared; where it is not, the experiment is trained.
        trace: The folder of the trace that it is; its experiment is then that of nobody.
        of: The name whose experiment a strategy trains, which has none of its own; None of the base's.
        measures: Whether a metric is measured that nobody named.
    """

    name: str
    experiment: Experiment = field(repr=False)
    run: RunDirectory | None = None
    recorded: bool = False
    trace: Path | None = None
    of: str | None = None
    measures: bool = True

    @property
    def changed(self) -> list[str]:
        """The files of a run's code that are not any more what they were when it was made."""
        return [path for path, digest in self._sources.items() if not _is_still(path, digest)]

    def changed_among(self, sources: Mapping[str, str]) -> list[str]:
        """Those files of a run's code, among some with their digests, that are not what they were."""
        return [path for path, digest in sources.items() if self._sources.get(path, digest) != digest]

    @property
    def _sources(self) -> dict[str, str]:
        return {} if self.run is None else self.run.environment.get("sources", {})

    @property
    def eager(self) -> Named:
        """The same, executed operation by operation, in which what happens within a step can be seen."""
        if self.trace is not None:
            return self
        # One step a call, whatever a model was compiled with.
        values = {**AS_IT_COMES, "execution": "eager", "steps_per_call": 1}
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


def notes_of(sides: Sequence[Named]) -> list[str]:
    """Which of them train an experiment that they do not name."""
    training: dict[str, list[str]] = {}
    for side in sides:
        if side.of is not None:
            training.setdefault(side.of, []).append(side.name)
    return [f"the experiment of {of} is what {' and '.join(names)} trained" for of, names in training.items()]


def measured_alike(sides: Sequence[Named], registry: Registry) -> list[Named]:
    """The sides without a metric that nobody named, where one of them has a step of its own and so none."""
    trained = [side for side in sides if side.trace is None and not side.recorded]
    asked = any(side.experiment.metrics is not None for side in trained)
    if asked or not any(side.has_own_step(registry) for side in trained):
        return list(sides)
    return [replace(side, measures=False) for side in sides]


def executable(sides: Sequence[Named], registry: Registry) -> list[Named]:
    """The sides, of which those that train a run's experiment with another strategy ask it for no more than
    it can."""
    return [_executable(side, registry) for side in sides]


def _executable(side: Named, registry: Registry) -> Named:
    if side.of is None or side.run is None or not side.experiment.jit:
        return side
    if side.chosen(registry).strategy.capabilities.jit:
        return side
    return replace(side, experiment=side.experiment.with_values(jit=False))


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
