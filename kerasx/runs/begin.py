"""What is written down before the first step, of a new run or of one that is gone on with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import FunctionType
from typing import Any

import keras
import tensorflow as tf

from kerasx.assembly.assemble import Assembly
from kerasx.assembly.model import policy_of
from kerasx.checkpoint.attributes import held_by
from kerasx.checkpoint.callback_state import go_on_writing, not_remembered
from kerasx.checkpoint.packing import unpacked
from kerasx.data.arrays import Arrays
from kerasx.errors import UsageError
from kerasx.files import write_json, write_text
from kerasx.plain import listed
from kerasx.runs.directory import ENVIRONMENT, EXPERIMENT, RunDirectory
from kerasx.runs.environment import environment_record, versions
from kerasx.runs.objects import described
from kerasx.runs.recorder import EpochRecorder
from kerasx.runs.resume import Resumption, check_objects
from kerasx.training.layers import all_layers
from kerasx.training.position import Start
from kerasx.training.steps import overrides
from kerasx.training.task import TrainingTask


def write_start(assembly: Assembly, directory: RunDirectory, command: list[str] | None) -> None:
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
        objects=described(assembly),
    )
    write_json(directory.path / ENVIRONMENT, record)
    directory.write_summary({"status": "running", "strategy": assembly.experiment.strategy.described})


def check_same(directory: RunDirectory, assembly: Assembly) -> None:
    """See that a run would go on with the data and the execution that it began with.

    Raises:
        UsageError: It would not.
    """
    recorded, task = directory.environment, assembly.task
    if recorded.get("data_digest") != assembly.dataset.digest:
        raise UsageError(
            f"The data of {directory.name} has changed since it was begun: it cannot be gone on with."
            " Train a new run."
        )
    before = (recorded.get("execution"), recorded.get("jit"))
    if before != (task.execution.mode, task.execution.jit):
        raise UsageError(
            f"{directory.name} was executed as {_execution(*before)}, and would be as"
            f" {_execution(task.execution.mode, task.execution.jit)} now: it cannot be gone on with."
        )
    check_objects(directory.name, recorded.get("objects"), described(assembly))
    sources = recorded.get("sources", {})
    now = assembly.resolver.references.sources()
    for path in (path for path, digest in now.items() if sources.get(path, digest) != digest):
        assembly.notes.append(
            f"`{path}` has changed since {directory.name} was begun: what it says now is used"
        )
    begun_with = recorded.get("versions", {})
    for name, version in versions().items():
        if begun_with.get(name) not in (None, version):
            assembly.notes.append(
                f"{directory.name} was begun with {name} {begun_with[name]}, and goes on with {version}: bits"
                " may differ"
            )


def _execution(mode: object, jit: object) -> str:
    return f"{mode} with jit" if jit else f"{mode} without jit"


def begin_again(resumed: Resumption, assembly: Assembly, recorder: EpochRecorder) -> None:
    """Begin where the run was, and leave nothing in its files that came after."""
    directory, checkpoint, task = resumed.directory, resumed.checkpoint, assembly.task
    text = directory.experiment.with_values(epochs=resumed.experiment.epochs).to_toml()
    write_text(directory.path / EXPERIMENT, text)
    directory.write_summary({"status": "running", "strategy": resumed.experiment.strategy.described})
    if checkpoint is None:
        recorder.set_state([])
        go_on_writing(task.callbacks, 0)
        return
    state = checkpoint.state
    logs = {name: tf.constant(value) for name, value in unpacked(state["logs"], checkpoint.arrays).items()}
    task.start = Start(resumed.first_epoch, int(state["step"]), bool(state["begun"]), logs)
    task.batches.go_through(task.start.epoch)
    if task.validation is not None:
        task.validation.go_through(task.start.epoch)  # once after each epoch
    go_on_writing(task.callbacks, task.start.epoch)


def not_kept(assembly: Assembly, callbacks: Sequence[keras.callbacks.Callback]) -> list[str]:
    """What of a training and its callbacks no checkpoint keeps, to be said when it starts."""
    notes = [
        f"the callback {type(each).__name__} holds {listed(lost)}, which no"
        " checkpoint can keep: a run that is gone on with makes it anew; give it get_state and set_state"
        for each in callbacks
        if (lost := not_remembered(each))
    ]
    task = assembly.task
    if task.execution.mode == "eager" and (lost := held_by(task.model).lost):
        notes.append(
            f"the model `{task.model.name}` holds {listed(lost)}, which no"
            " checkpoint can keep: a run that is gone on with makes it anew; a variable would be kept"
        )
    if not isinstance(assembly.dataset.train, Arrays):
        notes.append(
            "a run that is gone on with makes the pipeline anew and goes through its batches: what it draws"
            " at random is kept in no checkpoint"
        )
    if (draws := task.draws) is None:
        if _has_user_code(task):
            notes.append(
                "what the step draws from tf.random, if it does, is kept in no checkpoint: a run that is gone"
                " on with draws others; use keras.random"
            )
    elif draws:
        notes.append(
            f"the step draws from tf.random ({', '.join(draws)}), of which TensorFlow does not tell the"
            " state: a run that is gone on with draws others; use keras.random"
        )
    return notes


def _has_user_code(task: TrainingTask) -> bool:
    """Whether the step, the model, one of its layers, at any depth, or a loss is not Keras's."""
    model = task.model
    if task.train_step is not None or task.loop is not None or overrides(model, "train_step"):
        return True
    return any(map(_is_of_user, all_layers(model))) or any(map(_is_of_user, _losses(model.loss)))


def _losses(loss: Any) -> Iterator[Any]:
    """Each of a model's losses, which stand in lists and tables; functions in Keras's wrappers."""
    if isinstance(loss, Mapping | list | tuple):
        for each in loss.values() if isinstance(loss, Mapping) else loss:
            yield from _losses(each)
    elif loss is not None:
        yield getattr(loss, "fn", loss)


def _is_of_user(part: Any) -> bool:
    """Whether a layer or a loss has code that is not Keras's."""
    if isinstance(part, str):
        return False
    kind = part if isinstance(part, FunctionType) else type(part)
    return not kind.__module__.startswith("keras.") or isinstance(part, keras.layers.Lambda)
