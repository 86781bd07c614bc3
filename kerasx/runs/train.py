"""One run from start to end: assemble, train, evaluate, keep."""

from __future__ import annotations

import contextlib
import shlex
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kerasx.assembly.ahead import Ahead
from kerasx.assembly.assemble import Assembly, assemble
from kerasx.assembly.blame import training_error
from kerasx.assembly.callbacks import make_callbacks
from kerasx.assembly.isolation import isolated
from kerasx.assembly.model import kept
from kerasx.assembly.resolve import Resolver
from kerasx.checkpoint.keeper import CHECKPOINT_SECONDS, CheckpointKeeper
from kerasx.checkpoint.variables import OwnVariables
from kerasx.digest import weights_digest
from kerasx.errors import Interrupted, KerasxError, NonFiniteError, UsageError
from kerasx.experiment import Experiment
from kerasx.references import References
from kerasx.registry import Registry
from kerasx.runs.begin import begin_again, check_same, not_kept, write_start
from kerasx.runs.directory import CHECKPOINTS, LOG, RunDirectory, create_run
from kerasx.runs.lock import locked
from kerasx.runs.log import RunLog
from kerasx.runs.recorder import EpochRecorder, StepCounter
from kerasx.runs.report import write_report
from kerasx.runs.result import DryRun, Run
from kerasx.runs.resume import Resumption
from kerasx.runs.saving import save_model
from kerasx.runs.unwritten import unwritten
from kerasx.signals import Stop
from kerasx.training.finite import FiniteWatch, Rates
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
    *,
    resumed: Resumption | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Run:
    """Train an experiment in a new run directory, or go on with a run; see `Engine.train`."""
    own = OwnVariables()
    with contextlib.ExitStack() as stack:
        stack.enter_context(isolated(experiment.seed, experiment.precision))
        if (experiment.devices or 1) == 1:  # several have to be asked for before TensorFlow starts
            tf.random.get_global_generator()  # there before anything draws from it
        stack.enter_context(own.noted())
        references = References(None if resumed is None else resumed.directory.working_directory)
        assembled = experiment
        if resumed is not None and resumed.checkpoint is not None:
            assembled = experiment.with_values(initial_weights=None)  # they are in the checkpoint
        assembly = assemble(assembled, Resolver(registry, references, ahead=ahead))
        stack.callback(assembly.put_execution_back)
        if resumed is None:
            directory = create_run(runs, experiment.strategy.described)
            stack.enter_context(locked(directory))
        else:
            directory = resumed.directory
            check_same(directory, assembly)
        counter = StepCounter(assembly.task.model)
        try:
            return _train(assembly, directory, counter, own, reporter, command, resumed, checkpoint_seconds)
        except BaseException as error:
            how = _ended(error, assembly, directory, counter.taken, is_new=resumed is None)
            if isinstance(error, Interrupted):
                error.resumes = how
            if (not_written := unwritten(error, directory.path, how)) is not None:
                raise not_written from error
            if isinstance(error, KerasxError) or not isinstance(error, Exception):
                raise
            when = f"after {counter.taken} steps" if counter.taken else "on the first batch"
            what = f"Training failed {when}"
            raise training_error(error, assembly.resolver, what, stepped=counter.taken > 0) from error


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
    own: OwnVariables,
    reporter: Reporter | None,
    command: list[str] | None,
    resumed: Resumption | None,
    checkpoint_seconds: float,
) -> Run:
    task, experiment = assembly.task, assembly.experiment
    log = RunLog(directory.path / LOG, task.epochs)

    def note(text: str) -> None:
        log.note(text)
        if reporter:
            reporter.note(text)

    users = make_callbacks(experiment.callbacks, assembly.resolver, directory.path)
    recorder, rates = EpochRecorder(directory), Rates()
    task.callbacks = [
        counter,
        *users,
        *([rates] if users else []),
        recorder,
        log,
        *(reporter.callbacks(task.batches.steps) if reporter else []),
    ]
    stop = Stop(
        lambda: keeper.is_training and keeper.position.is_exact and not _is_at_its_end(task),
        lambda: note("ending at the next step: once more ends at once"),
    )
    keeper = CheckpointKeeper(
        directory.path / CHECKPOINTS,
        task,
        own,
        remembering=[counter, *users, recorder],
        every=checkpoint_seconds,
        before=None if resumed is None else resumed.checkpoint,
        stop=stop,
        note=note,
    )
    watch = FiniteWatch()
    task.followers = [watch, keeper]
    if resumed is None:
        write_start(assembly, directory, command)
    else:
        begin_again(resumed, assembly, recorder)
        assembly.notes += resumed.notes
    for text in (*assembly.notes, *not_kept(assembly, users)):
        note(text)

    started = time.perf_counter()
    try:
        with stop.listening():
            history = _history(assembly)
    except NonFiniteError as error:
        # Only now: it needs the seams that trainings are traced at.
        from kerasx.runs.non_finite import explained

        raise explained(error, task, keeper, watch, rates, directory.path, note) from error
    finally:
        keeper.close()
    seconds = assembly.compile_seconds + time.perf_counter() - started + keeper.seconds_before
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
            "ended_by_callback": bool(task.model.stop_training)
            or (resumed is not None and resumed.was_ended),
            "notes": list(run.notes),
        }
    )
    write_report(directory)
    log.note(f"finished in {seconds:.1f} s, weights {run.weights_digest}")
    return run


def _is_at_its_end(task: TrainingTask) -> bool:
    """Whether the last epoch has ended, after which callbacks may still do what takes time."""
    position = task.position
    return not position.step and (position.epoch >= task.epochs or bool(task.model.stop_training))


def _ended(
    error: BaseException, assembly: Assembly, directory: RunDirectory, steps: int, *, is_new: bool
) -> str | None:
    """Record how a run ended that did not finish; one that never took a step leaves nothing.

    Returns:
        The command that goes on with it; None where there is nothing to go on with.
    """
    if isinstance(error, NonFiniteError):
        status = "non-finite"
    elif isinstance(error, KeyboardInterrupt):
        status = "interrupted"
    elif steps == 0 and is_new:
        directory.remove()
        return None
    else:
        status = "failed"
    how = f"kerasx train --resume {shlex.quote(str(directory.path))}"
    with contextlib.suppress(OSError):  # told of by the error itself
        directory.write_summary(
            {
                "status": status,
                "strategy": assembly.experiment.strategy.described,
                "reason": f"{type(error).__name__}: {error}",
                "steps": steps,
                "resume": how,
            }
        )
    return how
