"""Writes down what was seen of a step, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerasx.parity.records import Role, StepTrace
from kerasx.parity.seen import Seen
from kerasx.parity.state import as_array
from kerasx.parity.writing import (
    APPLIED,
    ORDER,
    add_structure,
    dense,
    dtype_text,
    is_number,
    leaves,
    settings_text,
    shape_text,
)


def write_data(trace: StepTrace, seen: Seen, model: keras.Model) -> None:
    """What the step was given."""
    trace.add("data", "the batch", "used" if seen.forwards or seen.taken else "left out")
    if seen.forwards:
        # Of those that the loss is of; one before, as to warm something up, is no part of the step.
        passes = seen.over_batch(model, _rows_of(trace)) or seen.forwards[:1]
        add_structure(
            trace, "data", "inputs of the first forward pass", _joined([each.inputs for each in passes])
        )
    if seen.computed and len(seen.over_batch(model, _rows_of(trace))) < 2:
        arguments, _ = seen.computed[0]
        for name in ("y", "sample_weight"):
            add_structure(trace, "data", f"{name} of the loss", arguments.get(name))


def _rows_of(trace: StepTrace) -> int | None:
    """How many rows the batch has that the step was handed; None where that is not known."""
    handed = next((each.value for name, each in trace.records.items() if name.startswith("batch x")), None)
    return len(handed) if isinstance(handed, np.ndarray) else None


def _joined(parts: Sequence[Any]) -> Any:
    """Structures of the parts of a batch as one of the whole of it."""
    if len(parts) == 1:
        return parts[0]
    return keras.tree.map_structure(lambda *leaves: np.concatenate([dense(leaf) for leaf in leaves]), *parts)


def write_forward(trace: StepTrace, seen: Seen, model: keras.Model) -> None:
    """What the model made of it."""
    passes = seen.over_batch(model, _rows_of(trace))
    if passes:
        forward = passes[0]
        trace.add("forward", "training flag", str(forward.training))
        dtypes = dict.fromkeys(dtype_text(leaf) for leaf in leaves(forward.outputs) if leaf is not None)
        trace.add("forward", "dtype of the outputs", ", ".join(dtypes))
        add_structure(trace, "forward", "outputs", _joined([each.outputs for each in passes]))
    others = [each for each in seen.forwards if each.layer is model]
    trace.add("forward", "forward passes of the model", str(len(others)), "notes")


def write_loss(trace: StepTrace, seen: Seen) -> None:
    """What was differentiated, or of an evaluation what is reported."""
    if trace.kind == "evaluation":
        tracked = [
            arguments[0]
            for metric, arguments, _ in seen.metrics
            if type(metric) is keras.metrics.Mean and metric.name == "loss" and arguments
        ]
        losses = tracked or [loss for _, loss in seen.computed]
        if losses:
            trace.add("loss", "loss", dense(losses[-1]))
    elif len(seen.targets) == 1:
        target = _unscaled(seen.targets[0], seen)
        value = dense(target)
        # Of a vector a tape takes the gradient of the sum.
        trace.add("loss", "loss", value if value.ndim == 0 else value.sum())
        trace.add("loss", "dtype of the loss", value.dtype.name)
        trace.add("loss", "shape of the loss", str(list(value.shape)))
    else:
        for number, target in enumerate(seen.targets):
            trace.add("loss", f"loss {number}", dense(_unscaled(target, seen)))
    for criterion, _, loss in seen.called:
        if is_number(loss):
            trace.add(
                "loss",
                f"what {getattr(criterion, 'name', type(criterion).__name__)} gave",
                dense(loss),
                "notes",
            )
    if seen.added is not None:
        trace.add("loss", "losses that layers added", seen.added, "notes")


def _unscaled(target: Any, seen: Seen) -> Any:
    return next((loss for loss, scaled in seen.scaled if scaled is target), target)


def write_metrics(trace: StepTrace, seen: Seen) -> None:
    """What metrics were given, and what they hold."""
    for metric, arguments, options in seen.metrics:
        if not isinstance(metric, keras.metrics.Metric) or not hasattr(metric, "name"):
            continue
        given = [*arguments, *options.values()]
        shapes = ", ".join(f"{dtype_text(leaf)}{shape_text(leaf)}" for each in given for leaf in leaves(each))
        trace.add("report", f"metric {metric.name}", f"{type(metric).__name__}({shapes})", "notes")
        for variable in metric.variables:
            trace.add(
                "report", f"state of metric {metric.name}: {variable.name}", as_array(variable), "notes"
            )


def write_gradients(trace: StepTrace, seen: Seen) -> None:
    """Gradients as tapes gave them and as optimizers received them."""
    for name, gradients in seen.taken.items():
        if len(gradients) == 1 and gradients[0] is not None:
            trace.add("gradient", f"tape gradient of {name}", dense(gradients[0]))
        elif all(gradient is None for gradient in gradients):
            trace.add("gradient", f"tape gradient of {name}", "none")
    for name, gradients in seen.received.items():
        given = [gradient for gradient in gradients if gradient is not None]
        for gradient in given:
            # Of several updates in a step none is the other side's one.
            role: Role = "decides" if len(given) == 1 else "notes"
            trace.add("gradient", f"gradient of {name}", dense(gradient), role)


def write_updates(trace: StepTrace, seen: Seen) -> None:
    """What was done in which order, and by which optimizer."""
    for optimizer in seen.optimizers:
        trace.add("update", "optimizer", type(optimizer).__name__)
        trace.add("update", "settings of the optimizer", settings_text(optimizer), "notes")
    trace.add("update", ORDER, "; ".join(seen.order), "notes")
    for names in seen.applies:
        trace.add("update", APPLIED, ", ".join(names), "notes")
