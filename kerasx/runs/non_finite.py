"""Where a training became non-finite: its steps are taken again, and the one at fault is looked into."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasx.checkpoint.keeper import CheckpointKeeper
from kerasx.checkpoint.kinds import as_array
from kerasx.checkpoint.packing import Arrays
from kerasx.data.arrays import Arrays as Rows
from kerasx.data.batches import Batches
from kerasx.errors import NonFiniteError
from kerasx.files import replace_file
from kerasx.runs.in_a_step import PARTS, in_batch, in_step
from kerasx.training.finite import ADVICE, FiniteWatch, Rates
from kerasx.training.steps import test_step, train_step
from kerasx.training.task import TrainingTask

ROWS = "non-finite.npz"


class _Found(Exception):
    """The step that is looked for was taken."""


def explained(
    error: NonFiniteError,
    task: TrainingTask,
    keeper: CheckpointKeeper,
    watch: FiniteWatch,
    rates: Rates,
    folder: Path,
    note: Callable[[str], None],
) -> NonFiniteError:
    """The error with what became non-finite first, where steps can be taken again to see it.

    Args:
        error: What training ended with.
        task: As for `diagnosis`.
        keeper: As for `diagnosis`.
        watch: As for `diagnosis`.
        rates: As for `diagnosis`.
        folder: As for `diagnosis`.
        note: Called with what is to be said meanwhile.
    """
    said = None
    with contextlib.suppress(Exception):  # whatever steps raise that are taken again
        if watch.is_of_validation:
            note(f"{error} Validation is gone through again, to see where")
            said = _in_validation(task, watch, folder)
        elif not _is_repeatable(task.batches, watch):
            why = (
                "The pipeline hands out other batches each time: the step cannot be taken again, to see more."
            )
            there = ""
            with contextlib.suppress(Exception):  # as of a disk that is full
                there = _in_recent(task, keeper, watch, folder)
            return NonFiniteError(f"{str(error).removesuffix(ADVICE)}{there} {why}{ADVICE}")
        else:
            note(f"{error} Its steps are taken again, to see which")
            said = diagnosis(task, keeper, watch, rates, folder)
            if said is None and task.loop is None:
                why = "what made it so is beside them, as in a callback, or drawn anew each time"
                return NonFiniteError(
                    f"{str(error).removesuffix(ADVICE)} Taken again, its steps stay finite: {why}."
                )
    return error if said is None else NonFiniteError(f"Training became non-finite {said}.{ADVICE}")


def _is_repeatable(batches: Batches, watch: FiniteWatch) -> bool:
    """Whether an epoch that is gone through again has the same batches.

    The order of arrays is known. Of a pipeline only its batches can tell: it is gone through twice.
    """
    if isinstance(batches.rows, Rows):
        return True
    epoch, step = watch.position.epoch, watch.position.step
    upto = (epoch, step) if step else (max(0, epoch - 1), None)
    return _digest(batches, *upto) == _digest(batches, *upto)


def _digest(batches: Batches, epoch: int, steps: int | None) -> str:
    digest = hashlib.sha256()
    for batch in itertools.islice(batches.epoch(epoch), steps):
        for leaf in keras.tree.flatten(batch):
            parts = [leaf.values, leaf.indices] if isinstance(leaf, tf.SparseTensor) else [leaf]
            for part in parts:
                digest.update(tf.io.serialize_tensor(part).numpy())
    return digest.hexdigest()


def diagnosis(
    task: TrainingTask, keeper: CheckpointKeeper, watch: FiniteWatch, rates: Rates, folder: Path
) -> str | None:
    """What became non-finite first, in which step and layer; the rows of its batch are written down.

    Steps are taken again from the last state that was kept, one by one from where all was known to be finite.
    Of what callbacks do, only the learning rates that they set are set again.

    Args:
        task: That failed; its state is not its own afterwards.
        keeper: Has the state.
        watch: Knows up to where all was finite.
        rates: Has the learning rates that were set.
        folder: Of the run.

    Returns:
        A sentence; None where all stays finite this time.
    """
    found = _step_at_fault(task, keeper, watch, rates)
    if found is None:
        return None
    epoch, step, before = found
    keeper.set_variables(before)
    batch = next(iter(task.batches.epoch(epoch, step)))
    rates.set_again(epoch, step)
    _write_rows(folder / ROWS, task.batches, epoch, step, batch)
    what = _what_is_non_finite(task, watch, batch)
    return f"in step {step + 1} of epoch {epoch + 1}, {what}. The rows of its batch are in {folder / ROWS}"


def _in_validation(task: TrainingTask, watch: FiniteWatch, folder: Path) -> str | None:
    """What became non-finite in validation, with weights that are finite, as `diagnosis` tells it."""
    if task.validation is None:
        return None
    task.model.reset_metrics()
    for number, batch in enumerate(task.validation.epoch(0)):
        what = in_step(task.test_step or test_step, task, batch)
        if what is not None:
            _write_rows(folder / ROWS, task.validation, 0, number, batch)
            where = f"in batch {number + 1} of the validation after epoch {watch.position.epoch}"
            return f"{where}, {what}. The rows of its batch are in {folder / ROWS}"
    return None


def _in_recent(task: TrainingTask, keeper: CheckpointKeeper, watch: FiniteWatch, folder: Path) -> str:
    """What is to be said of the last batches, which are not handed out again; nothing where they are gone.

    Their rows are written down. One that is not finite, of which the step makes what is not finite with the
    last weights that were kept, is told of.
    """
    epoch, step = watch.position.epoch, watch.position.step
    # What one step made of the weights may show in the loss of the next.
    first = min(watch.finite[1] if watch.finite[0] == epoch else 0, step - 2) if step else 0
    recent = task.bind(task.train_step or train_step, task.batches).recent(first)
    recent = {number: batch for number, batch in recent.items() if number < step or not step}
    if not recent:
        return ""
    path = folder / ROWS
    arrays = {
        f"step_{number + 1}_{name}": array
        for number, batch in recent.items()
        for name, array in _arrays_of(batch).items()
    }
    replace_file(path, lambda temporary: np.savez(temporary, **arrays))
    there = ""
    with contextlib.suppress(Exception):  # whatever a step raises that is taken again
        for number in _at_fault(task, keeper, recent):
            there = f" In step {number + 1} of epoch {epoch + bool(step)}, {in_batch(recent[number])}."
            break
    steps = f"steps {min(recent) + 1} to {max(recent) + 1}" if len(recent) > 1 else f"step {min(recent) + 1}"
    return f"{there} The rows of {steps} are in {path}."


def _at_fault(task: TrainingTask, keeper: CheckpointKeeper, batches: Mapping[int, Any]) -> Iterator[int]:
    """Numbers of batches that are not finite, and of which a step makes the same of finite weights."""
    if not any(in_batch(batch) for batch in batches.values()) or keeper.set_last() is None:
        return
    before = keeper.variables()
    for number, batch in batches.items():
        keeper.set_variables(before)
        what = in_batch(batch)
        if what is not None and what == in_step(task.train_step or train_step, task, batch):
            yield number


def _step_at_fault(
    task: TrainingTask, keeper: CheckpointKeeper, watch: FiniteWatch, rates: Rates
) -> tuple[int, int, Arrays] | None:
    """Epoch and step, counted from 0, and the variables before it."""
    last = None if task.loop is not None else keeper.set_last()
    if last is None:  # a loop's steps are its own
        return None
    first_epoch, first_step = last
    bound = task.bind(task.train_step or train_step, task.batches)
    before: Arrays = {}
    for epoch in range(first_epoch, watch.finite[0] + 2):
        start = first_step if epoch == first_epoch else 0
        if not start:
            task.model.reset_metrics()
        # Steps that were all finite the first time need not be looked at.
        known = watch.finite[1] if epoch == watch.finite[0] else None if epoch < watch.finite[0] else 0
        bound.singly_from = known
        before = keeper.variables()
        at_fault = start

        def taken(steps: int, known: int | None = known) -> None:
            nonlocal before, at_fault
            if known is None or steps < known:
                return
            if steps > known and watch.first_non_finite() is not None:
                raise _Found
            before, at_fault = keeper.variables(), steps

        try:
            with contextlib.closing(bound.calls(epoch, taken, start)) as calls:
                for call in calls:
                    rates.set_again(epoch, call.first)
                    call.run()
        except _Found:
            return epoch, at_fault, before
        finally:
            bound.singly_from = None
    return None


def _arrays_of(batch: Any) -> dict[str, Any]:
    """The arrays of a batch, by name and place."""
    arrays: dict[str, Any] = {}
    for name, part in zip(PARTS, batch, strict=False):
        leaves = keras.tree.flatten(part)
        for place, leaf in enumerate(leaves):
            arrays[name if len(leaves) == 1 else f"{name}_{place}"] = as_array(leaf)
    return arrays


def _write_rows(path: Path, batches: Batches, epoch: int, step: int, batch: Any) -> None:
    arrays = _arrays_of(batch)
    if isinstance(batches.rows, Rows):
        size = batches.batch_size
        arrays["rows"] = batches.row_numbers(epoch)[step * size : (step + 1) * size]
    replace_file(path, lambda temporary: np.savez(temporary, **arrays))


def _what_is_non_finite(task: TrainingTask, watch: FiniteWatch, batch: Any) -> str:
    """In words, the first of: the batch, an output of a layer, the loss, a gradient, a weight."""
    what = in_step(task.train_step or train_step, task, batch) or in_batch(batch)
    if what is not None:
        return what
    weights = watch.first_non_finite()
    if weights is not None:
        return f"{weights} after the update, of finite gradients"
    if task.execution.eager:
        return "which stays finite when it is taken again"
    return "where eager execution, operation by operation, stays finite: XLA or the graph rounds otherwise"
