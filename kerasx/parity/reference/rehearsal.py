"""Runs the part of the reference again that measures and reports, without going forward or updating.

What is reported does not come back into the training. So a deviation that changes the report alone can be
tried on the losses and outputs of a run that there was, in a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras

from kerasx.parity.records import StepTrace
from kerasx.parity.reference.deviation import KIND, At, Deviation
from kerasx.parity.reference.step import OUTPUTS, REPORTED, TERMS, measured, tracked
from kerasx.parity.writing import write_logs
from kerasx.training.loop import reported_logs
from kerasx.training.steps import total_loss


def rehearsed(
    model: keras.Model,
    deviations: Sequence[Deviation],
    memory: Mapping[Any, Any],
    like: StepTrace,
    place: int,
) -> StepTrace:
    """What a step reports, or an epoch of its training.

    Args:
        model: Whose metrics measure; they are left as the last step leaves them.
        deviations: What is otherwise than in Keras: those of the run, and others that only change the report.
        memory: What the run kept.
        like: The step, as of a training, an evaluation or an epoch.
        place: Of the step in the trace.

    Returns:
        The quantities of the stage report alone, and of an epoch without their names, as an evaluation's are
        among them.
    """
    memory = {**memory, "undo": []}
    kind = "evaluation" if like.kind == "evaluation" else "training"
    steps = [
        kept
        for _, kept in sorted(
            (key[1], value) for key, value in memory.items() if isinstance(key, tuple) and key[0] == REPORTED
        )
        if (kept[0].kind, kept[0].epoch) == (kind, like.epoch) and kept[0].index <= place
    ]
    here = [each for each in deviations if each.scope in (kind, "both")]
    of_report = [each for each in here if each.stage == "report"]
    logs: dict[str, Any] = {}
    at = At(model, kind, like.epoch, memory=memory)
    try:
        for each in of_report:
            each.begins(at)
        model.reset_metrics()
        for then, loss, outputs, given in steps:
            at = replace(then, memory=memory)
            memory[KIND], memory[OUTPUTS] = kind, outputs
            for each in of_report:
                each.before(at)
            if len(memory[TERMS, at.index][0] or ()) != 1:
                # The means of several outputs' losses are kept where these are computed.
                x, y, sample_weight = at.batch
                total_loss(model, x, y, outputs, sample_weight, training=kind == "training")
            tracked(here, at)(loss)
            logs = measured(here, given, at)
        found = StepTrace(like.epoch, like.step, like.kind)
        if like.kind == "epoch":
            logs = reported_logs(model, logs)
            for each in here:
                logs = each.epoch_logs(logs, at)
            write_logs(found, "epoch's", logs)
            del found.records["epoch's names"]
        else:
            prefix = "val_" if kind == "evaluation" else ""
            write_logs(found, "reported", reported_logs(model, logs), prefix)
            write_logs(found, "returned", logs, prefix, "tells")
    finally:
        for undo in reversed(memory["undo"]):
            undo()
    return found
