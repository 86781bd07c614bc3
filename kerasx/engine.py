"""The engine: what the command line and embedding code call."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasx.assembly.ahead import Ahead
from kerasx.discovery import Plugin
from kerasx.errors import PluginError, UsageError
from kerasx.experiment import Experiment
from kerasx.registry import Registration, Registry
from kerasx.runs.directory import RunDirectory, check_runs_folder, find_run, list_runs
from kerasx.runs.lock import locked
from kerasx.runs.resume import check_resumable, resumption, with_asked
from kerasx.startup import start_tensorflow

# Before TensorFlow is there: pydantic reads the docstrings of options by way of every module that is loaded.
from kerasx.training import strategy  # noqa: F401

if TYPE_CHECKING:
    from kerasx.parity.check.result import Check
    from kerasx.parity.explain.finding import Explanation
    from kerasx.parity.result import Comparison
    from kerasx.runs.reporter import Reporter
    from kerasx.runs.result import DryRun, Run


class Engine:
    """Trains experiments by any strategy, evaluates and exports what came of them.

    Args:
        plugins: Modules or other objects with hook implementations, used without being installed.
        runs: The folder of run directories.

    Attributes:
        registry: The plugins this engine sees.
        runs: The folder of run directories.

    Example:
        import kerasx

        run = kerasx.Engine().train(kerasx.Experiment(strategy="gradient-tape", epochs=2))
        print(run.evaluation["accuracy"], run.directory)
    """

    def __init__(self, plugins: Sequence[object] = (), *, runs: str | Path = "runs") -> None:
        self.registry = Registry(plugins)
        self.runs = Path(runs)

    def train(
        self,
        experiment: Experiment | None = None,
        *,
        reporter: Reporter | None = None,
        command: list[str] | None = None,
        resume: str | Path | Run | None = None,
        checkpoint_seconds: float = 60.0,
        **values: Any,
    ) -> Run:
        """Train an experiment and keep the run, or go on with one.

        Args:
            experiment: The declaration; None for the defaults.
            reporter: Told about choices and progress; None for silence.
            command: The command line to record.
            resume: A run, or its path, name, the beginning of its name, or `last`, to go on with where its
                newest checkpoint is. Of its experiment nothing can be changed but the number of epochs.
            checkpoint_seconds: After so many seconds within an epoch the state is kept; it is after each
                epoch, too.
            **values: Fields of the experiment to replace: names, or objects such as a `keras.Model`,
                arrays, a `keras.losses.Loss`.

        Returns:
            The run, with its history, evaluation, model and directory.

        Raises:
            UsageError: Something in the experiment is unknown, does not fit, or is code that raises; or the
                run cannot be gone on with.
            PluginError: A plugin that was asked for fails.
            NonFiniteError: The loss became infinite or not a number.
            Interrupted: A signal asked training to end, which it did at a step boundary, its state kept.
        """
        directory = None if resume is None else self.run_directory(resume)
        with contextlib.ExitStack() as stack:
            if directory is None:
                asked = (experiment or Experiment()).with_values(**values)
                check_runs_folder(self.runs)
            else:
                asked = with_asked(directory.experiment, experiment, values)
                stack.enter_context(locked(directory))
                check_resumable(directory, asked)
            _tell_of_code([asked], _note_of(reporter))
            ahead = Ahead(asked.dataset, self.registry)
            start_tensorflow()
            from kerasx.runs.train import train

            return train(
                asked,
                self.registry,
                self.runs,
                reporter,
                command,
                ahead,
                resumed=None if directory is None else resumption(directory, asked),
                checkpoint_seconds=checkpoint_seconds,
            )

    def dry_run(
        self, experiment: Experiment | None = None, *, reporter: Reporter | None = None, **values: Any
    ) -> DryRun:
        """Resolve everything and train one batch; nothing is kept.

        Arguments and errors are those of `train`.
        """
        experiment = (experiment or Experiment()).with_values(**values)
        _tell_of_code([experiment], _note_of(reporter))
        start_tensorflow()
        from kerasx.runs.train import dry_run

        return dry_run(experiment, self.registry)

    def compare(
        self,
        *names: Any,
        experiment: Experiment | None = None,
        vary: Mapping[str, Sequence[Any]] | None = None,
        seeds: Sequence[int] = (),
        traces: str | Path | None = None,
        told: Callable[[str], None] = lambda text: None,
        **values: Any,
    ) -> Comparison:
        """Compare trainings: whether they are the same bits, agree within noise, or where they part.

        Jit is off unless it is asked for, so that bits can be compared. Nothing is kept.

        Args:
            *names: Each a strategy, the path of an experiment file, a run, a trace, a strategy by reference,
                or `article:N` for a row of the article; or an experiment; or a step, loop or strategy as an
                object. None for the experiment's own strategy, of which there is to be something to vary.
            experiment: What strategies train, all else held equal; None for that of the first trace, or
                experiment, file or run among the names, and for the defaults where there is none.
            vary: Values by field of the experiment, such as `{"execution": ["eager", "graph"]}`, or by option
                of a part, such as `"optimizer.momentum"`: each name stands for as many experiments as there
                are combinations.
            seeds: To train all of them with, for distributions of results. The verdicts are of the first.
            traces: A folder in which to keep the traces of the first steps, to be compared with later.
            told: Told what is being done.
            **values: Fields of the experiment to replace, as for `train`; of files and rows too.

        Returns:
            Verdicts on all pairs, with the first difference of those that diverged.

        Raises:
            UsageError: A name stands for nothing, or something in an experiment is wrong.
            PluginError: A plugin that was asked for fails.
        """
        from kerasx.parity.naming import sides_of

        base = (experiment or Experiment()).with_values(**values)
        sides = sides_of(names, base, self.registry, self.runs, vary)
        _tell_of_code([side.experiment for side in sides], told)
        start_tensorflow()
        from kerasx.parity.compare import compare

        return compare(
            sides,
            self.registry,
            seeds=seeds,
            traces=None if traces is None else Path(traces),
            told=told,
        )

    def explain(
        self,
        *names: Any,
        experiment: Experiment | None = None,
        again: str | Path | None = None,
        told: Callable[[str], None] = lambda text: None,
        **values: Any,
    ) -> Explanation:
        """Name the causes for which two trainings differ, and prove them.

        Args:
            *names: One or two, as for `compare`; one alone is held against what Keras's `fit` does.
            experiment: As for `compare`.
            again: A file with an explanation as JSON, whose causes are put into the reference again.
            told: Told what is being done.
            **values: As for `compare`.

        Returns:
            The findings: causes of the catalogue by their ids, each with its evidence; or that what is seen
            is none of them.

        Raises:
            UsageError: As for `compare`.
            PluginError: A plugin that was asked for fails.
        """
        from kerasx.parity.naming import named

        base = (experiment or Experiment()).with_values(**values)
        if len(names) > 2:
            raise UsageError("Two trainings are explained at a time: name one or two.")
        sides = named(names, base, self.registry, self.runs)
        _tell_of_code([side.experiment for side in sides], told)
        start_tensorflow()
        from kerasx.parity.explain.explain import explain
        from kerasx.parity.explain.replay import written

        return explain(
            sides[0] if len(sides) == 2 else None,
            sides[-1],
            self.registry,
            given=None if again is None else written(Path(again)),
            told=told,
        )

    def check(
        self,
        target: Any,
        *,
        experiment: Experiment | None = None,
        expect: Sequence[str] = (),
        scenarios: Sequence[str] = (),
        told: Callable[[str], None] = lambda text: None,
        **values: Any,
    ) -> Check:
        """Say whether a step does all that Keras's `fit` does, in scenarios that wake dormant causes.

        Args:
            target: A step, a loop over batches, a strategy, or a model, its class or builder: by reference or
                as an object; or the name of an installed strategy.
            experiment: What is set in it goes before what the scenarios have: the loss that a step computes
                by itself, and for a model with an architecture of its own its data.
            expect: Ids of causes, or stages, in which it is meant to differ; so does its attribute
                `kerasx_expect`. It is held to the rest.
            scenarios: Names of scenarios to try, as `kerasx check` prints them; none for all.
            told: Told what is being done.
            **values: Fields of the experiment to replace.

        Returns:
            Each scenario with its verdict, and what explains those that fail.

        Raises:
            UsageError: The target is nothing that can be checked, or its code raises.
            PluginError: A plugin that was asked for fails.
        """
        base = (experiment or Experiment()).with_values(**values)
        told_target = {"strategy": target} if isinstance(target, str) else {}
        _tell_of_code([base.with_values(**told_target)], told)
        start_tensorflow()
        from kerasx.parity.check.check import check

        return check(target, base, self.registry, expect=expect, scenarios=scenarios, told=told)

    def trace(
        self,
        name: Any,
        path: str | Path,
        *,
        experiment: Experiment | None = None,
        told: Callable[[str], None] = lambda text: None,
        **values: Any,
    ) -> Path:
        """Trace the first steps of a training, stage by stage, to be compared with later.

        Args:
            name: What to train: as one of the names of `compare`.
            path: The folder to write; it must not exist.
            experiment: As for `compare`.
            told: Told what is being done.
            **values: As for `compare`.

        Returns:
            The path.

        Raises:
            UsageError: As for `compare`; or the folder exists or cannot be written.
            PluginError: A plugin that was asked for fails.
        """
        from kerasx.parity.naming import side_of

        base = (experiment or Experiment()).with_values(**values)
        side = side_of(name, base, self.registry, self.runs)
        _tell_of_code([side.experiment], told)
        start_tensorflow()
        from kerasx.parity.compare import trace

        trace(side, self.registry, Path(path), told)
        return Path(path)

    def evaluate(
        self, run: str | Path | Run, *, dataset: Any = None, reporter: Reporter | None = None
    ) -> dict[str, Any]:
        """Evaluate the model of a run on the validation rows of its data, or of other data.

        Args:
            run: A run, or its path, name, the beginning of its name, or `last`.
            dataset: A name, reference, file or arrays in place of the run's.
            reporter: Told when the user's code that is used has changed since the run.

        Returns:
            Results by name, `loss` among them.

        Raises:
            UsageError: There is no such run, its model cannot be loaded, or the data does not fit.
        """
        directory = self.run_directory(run)
        other_data = {"dataset": dataset} if isinstance(dataset, str) else {}
        _tell_of_code([directory.experiment.with_values(**other_data)], _note_of(reporter))
        start_tensorflow()
        from kerasx.runs.use import evaluate

        return evaluate(directory, self.registry, dataset, reporter)

    def predict(self, run: str | Path | Run, x: Any, *, reporter: Reporter | None = None) -> Any:
        """The outputs of a run's model.

        Args:
            run: As for `evaluate`.
            x: An array `[rows, ...]`, or a structure of arrays as the model takes it.
            reporter: As for `evaluate`.

        Returns:
            An array `[rows, ...]`, or a structure of them.

        Raises:
            UsageError: There is no such run, its model cannot be loaded, or the rows do not fit.
        """
        directory = self.run_directory(run)
        _tell_of_code([directory.experiment], _note_of(reporter))
        start_tensorflow()
        from kerasx.runs.use import predict

        return predict(directory, self.registry, x, reporter)

    def predict_file(
        self, run: str | Path | Run, source: Path, target: Path, *, reporter: Reporter | None = None
    ) -> dict[str, tuple[int, ...]]:
        """The outputs of a run's model for the rows of an npz file, written to another.

        Args:
            run: As for `evaluate`.
            source: An npz file whose only array, or array `x`, holds the rows; or one array for each
                input, by name.
            target: The npz file to write; it must not exist.
            reporter: As for `evaluate`.

        Returns:
            The shape of each array written: `predictions`, or one for each output.

        Raises:
            UsageError: As for `predict`; or a file is missing, unreadable, in the way or cannot be written.
        """
        directory = self.run_directory(run)
        _tell_of_code([directory.experiment], _note_of(reporter))
        start_tensorflow()
        from kerasx.runs.use import predict_file

        return predict_file(directory, self.registry, source, target, reporter)

    def export(
        self,
        run: str | Path | Run,
        path: str | Path,
        *,
        format: str | None = None,
        reporter: Reporter | None = None,
    ) -> Path:
        """Write a run's model in one of Keras's own formats.

        Args:
            run: As for `evaluate`.
            path: The file or folder to write; it must not exist.
            format: `keras`, `weights` or `saved-model`; None goes by the path's ending.
            reporter: As for `evaluate`.

        Returns:
            The path.

        Raises:
            UsageError: There is no such run or format, or the path exists or cannot be written.
        """
        directory = self.run_directory(run)
        _tell_of_code([directory.experiment], _note_of(reporter))
        start_tensorflow()
        from kerasx.runs.use import export

        return export(directory, self.registry, Path(path), format, reporter)

    def options_of(self, plugin: Plugin) -> dict[tuple[str, str], list[dict[str, Any]]]:
        """The options of everything that a plugin provides, commands aside.

        Returns:
            By kind and name, for each option its `name`, `type`, `default` (absent where it is required)
            and `description`; or one row with an `error`, where the implementation cannot be imported.
        """
        start_tensorflow()
        from kerasx.assembly.option_help import options_of

        rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for spec in plugin.specs:
            if spec.kind == "command":
                continue
            try:
                rows[spec.kind, spec.name] = options_of(self.registry.load(Registration(spec, plugin)))
            except PluginError as error:
                rows[spec.kind, spec.name] = [{"error": str(error)}]
        return rows

    def list_runs(self) -> list[RunDirectory]:
        """The runs kept, oldest first."""
        return list_runs(self.runs)

    def run_directory(self, run: str | Path | Run) -> RunDirectory:
        """The directory of a run.

        Raises:
            UsageError: There is no such run.
        """
        if isinstance(run, str | Path):
            return find_run(str(run), self.runs)
        return RunDirectory(run.directory)


def _note_of(reporter: Reporter | None) -> Callable[[str], None]:
    return (lambda text: None) if reporter is None else reporter.note


def _tell_of_code(experiments: Sequence[Experiment], told: Callable[[str], None]) -> None:
    """Tell whose code will run, before it does: what references name, be it in an option or in a file."""
    code = dict.fromkeys(each for experiment in experiments for each in experiment.code)
    if code:
        told(f"code by reference: {', '.join(code)}")
