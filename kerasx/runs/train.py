"""One run from start to end: assemble, train, evaluate, keep."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasx.assembly.ahead import Ahead
from kerasx.assembly.assemble import Assembly, assemble
from kerasx.assembly.blame import training_error
from kerasx.assembly.callbacks import make_callbacks
from kerasx.assembly.isolation import isolated
from kerasx.assembly.model import kept, policy_of
from kerasx.assembly.resolve import Resolver
from kerasx.digest import weights_digest
from kerasx.errors import KerasxError, NonFiniteError, UsageError
from kerasx.experiment import Experiment
from kerasx.registry import Registry
from kerasx.runs.directory import ENVIRONMENT, EXPERIMENT, LOG, RunDirectory, create_run
from kerasx.runs.environment import environment_record
from kerasx.runs.files import write_json, write_text
from kerasx.runs.log import RunLog
from kerasx.runs.recorder import EpochRecorder, FiniteCheck, StepCounter
from kerasx.runs.report import write_report
from kerasx.runs.result import DryRun, Run
from kerasx.runs.saving import save_model
from kerasx.startup import start_xla
from kerasx.training.task import TrainingTask

if TYPE_CHECKING:
    from kerasx.runs.reporter import Reporter


def train(
    experiment: Experiment,
    registry: Registry,
    runs: Path,
    reporter: Reporter | None = None,
    command: list[str] | None = None,
    ahead: Ahead | None = None,
) -> Run:
    """Train an experiment in a new run directory; see `Engine.train`."""
    with isolated(experiment.seed, experiment.precision):
        assembly = assemble(experiment, Resolver(registry, ahead=ahead))
        directory = create_run(runs, experiment.strategy.described)
        counter = StepCounter(assembly.task.model)
        try:
            return _train(assembly, directory, counter, reporter, command)
        except BaseException as error:
            _ended(error, assembly, directory, counter.taken)
            if isinstance(error, KerasxError) or not isinstance(error, Exception):
                raise
            when = f"after {counter.taken} steps" if counter.taken else "on the first batch"
            raise training_error(error, assembly.resolver, f"Training failed {when}") from error
        finally:
            assembly.put_execution_back()


def dry_run(experiment: Experiment, registry: Registry) -> DryRun:
    """Resolve everything and train one batch; see `Engine.dry_run`."""
    with isolated(experiment.seed, experiment.precision), tempfile.TemporaryDirectory() as folder:
        assembly = assemble(experiment, Resolver(registry), adjust=_one_batch)
        task = assembly.task
        lines: list[str] = []
        task.model.summary(print_fn=lambda line, **_: lines.append(line))
        task.epochs = 1
        task.callbacks = make_callbacks(
            experiment.callbacks, assembly.resolver, Path(folder), keeps_nothing=True
        )
        with kept(task.model):
            try:
                history = _history(assembly)
            except KerasxError:
                raise
            except Exception as error:
                raise training_error(
                    error, assembly.resolver, "Training failed on the first batch"
                ) from error
            finally:
                assembly.put_execution_back()
        return DryRun(
            assembly.experiment,
            "\n".join(lines),
            assembly.resolver.answers,
            tuple(assembly.notes),
            {name: values[-1] for name, values in history.items()},
        )


def _one_batch(task: TrainingTask) -> None:
    task.batches = task.batches.limited(1)
    if task.validation is not None:
        task.validation = task.validation.limited(1)


def _history(assembly: Assembly) -> dict[str, list[Any]]:
    history: Any = assembly.chosen.strategy.train(assembly.task)
    if not isinstance(history, dict):
        raise UsageError(
            f"The strategy `{assembly.chosen.name}` has to return the history, a dictionary of lists, and"
            f" returned {type(history).__name__}."
        )
    return history


def _train(
    assembly: Assembly,
    directory: RunDirectory,
    counter: StepCounter,
    reporter: Reporter | None,
    command: list[str] | None,
) -> Run:
    task, experiment = assembly.task, assembly.experiment
    log = RunLog(directory.path / LOG, task.epochs)
    task.callbacks = [
        counter,
        *make_callbacks(experiment.callbacks, assembly.resolver, directory.path),
        EpochRecorder(directory),
        log,
        *(reporter.callbacks(task.batches.steps) if reporter else []),
        FiniteCheck(),
    ]
    _write_start(assembly, directory, command)
    for note in assembly.notes:
        log.note(note)
        if reporter:
            reporter.note(note)

    if task.execution.jit:
        start_xla()  # what is not prepared compiles in its first call
    started = time.perf_counter()
    history = _history(assembly)
    seconds = assembly.compile_seconds + time.perf_counter() - started
    if task.batches.steps is None and counter.taken == 0:
        raise UsageError("The pipeline handed out no batch: nothing was trained.")
    evaluation = {} if task.validation is None else assembly.chosen.strategy.evaluate(task, task.validation)

    saved = save_model(task.model, directory.path)
    if saved is not None:
        log.note(saved)
        assembly.notes.append(saved)
    run = Run(
        directory=directory.path,
        experiment=experiment,
        model=task.model,
        history=history,
        evaluation=evaluation,
        execution=task.execution.mode,
        jit=task.execution.jit,
        seconds=seconds,
        compile_seconds=assembly.compile_seconds,
        steps=counter.taken,
        weights_digest=weights_digest(task.model),
        notes=tuple(assembly.notes),
    )
    directory.write_summary(
        {
            "status": "finished",
            **run.to_dict(),
            "compile_seconds": round(run.compile_seconds, 3),
            "notes": list(run.notes),
        }
    )
    write_report(directory)
    log.note(f"finished in {seconds:.1f} s, weights {run.weights_digest}")
    return run


def _write_start(assembly: Assembly, directory: RunDirectory, command: list[str] | None) -> None:
    """What is known before the first step: the experiment and what it runs with."""
    task = assembly.task
    write_text(directory.path / EXPERIMENT, assembly.experiment.to_toml())
    record = environment_record(
        assembly.resolver.answers,
        command,
        execution=task.execution.mode,
        jit=task.execution.jit,
        dtype_policy=policy_of(task.model),
        data_digest=assembly.dataset.digest,
        sources=assembly.resolver.references.sources(),
        notes=list(assembly.notes),
    )
    write_json(directory.path / ENVIRONMENT, record)
    directory.write_summary({"status": "running", "strategy": assembly.experiment.strategy.described})


def _ended(error: BaseException, assembly: Assembly, directory: RunDirectory, steps: int) -> None:
    """Record how a run ended that did not finish; one that never took a step leaves nothing."""
    if isinstance(error, NonFiniteError):
        status = "non-finite"
    elif isinstance(error, KeyboardInterrupt):
        status = "interrupted"
    elif steps == 0:
        directory.remove()
        return
    else:
        status = "failed"
    directory.write_summary(
        {
            "status": status,
            "strategy": assembly.experiment.strategy.described,
            "reason": f"{type(error).__name__}: {error}",
            "steps": steps,
        }
    )
