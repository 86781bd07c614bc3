"""Writes values into the trace of a step, and reads them off the structures that they come in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasx.parity.records import Array, Role, StepTrace
from kerasx.parity.state import FullState, as_array, is_rate, names_seed
from kerasx.plain import plain_value

# Notes of how a step was done: what followed on what, and the variables of each call that applies gradients.
ORDER, APPLIED = "order of calls", "applied to"


def write_batch(trace: StepTrace, batch: Any) -> None:
    """Write down the batch that a step is handed."""
    for name, part in zip(("x", "y", "sample_weight"), batch, strict=False):
        add_structure(trace, "data", f"batch {name}", part, "decides")


def write_initial(trace: StepTrace, state: FullState) -> None:
    """Write down the state that training begins with in the trace of the first step."""
    shapes = ", ".join(f"{value.dtype.name}{list(value.shape)}" for value in state.values[: state.own])
    trace.add("initial-state", "shapes of the variables", shapes, "decides")
    for number, (name, value) in enumerate(zip(state.names, state.values, strict=True)):
        if number >= state.own and is_rate(name):
            continue
        if names_seed(name):
            # Where random streams begin shows in what is drawn from them.
            trace.add("forward", f"initial seed {name}", value, "decides")
            continue
        kind = "slot" if number >= state.own else "value of"
        trace.add("initial-state", f"initial {kind} {name}", value, "decides")


def write_logs(
    trace: StepTrace, quantity: str, logs: Mapping[str, Any], prefix: str = "", role: Role = "decides"
) -> None:
    """Write down logs: their names, and each value by name."""
    trace.add("report", f"{quantity} names", ", ".join(sorted(prefix + name for name in logs)), role)
    for name, value in logs.items():
        plain = plain_value(value)
        if isinstance(plain, int | float | list):
            kept = np.asarray(plain)
            is_wide = str(getattr(value, "dtype", "")).endswith("float64")
            # A plain number comes from a float32, unless it is known to be wider.
            rounded = 0.0 if is_wide or kept.dtype.kind != "f" else unit(kept.astype(np.float32))
            trace.add("report", f"{quantity} {prefix}{name}", kept, role, rounded)


def add_structure(trace: StepTrace, stage: Any, quantity: str, value: Any, role: Role = "tells") -> None:
    """Each leaf of a structure by its place."""
    if value is None:
        return
    for path, leaf in keras.tree.flatten_with_path(value):
        if leaf is not None and _is_array(leaf):
            place = "".join(f"[{part}]" for part in path)
            trace.add(stage, f"{quantity}{place}", dense(leaf), role)


def change(old: Array, new: Array) -> Array:
    """The difference, as exactly as float64 has it; of integers as they are."""
    if new.dtype.kind in "iub":
        return new
    if old.tobytes() == new.tobytes():
        return np.broadcast_to(np.float64(0.0), new.shape)  # which takes no memory
    return np.subtract(new, old, dtype=np.float64)


def unit(values: Array) -> float:
    """One unit in the last place of the largest of some floating-point numbers."""
    if not keras.backend.is_float_dtype(values.dtype.name):
        return 0.0
    finite = np.abs(values[np.isfinite(values)])
    return float(np.spacing(finite.max())) if finite.size else 0.0


def as_it_is(gradient: Any) -> Any:
    """A gradient as it is now: whoever accumulates gradients may go on with the same variable or array."""
    return as_array(gradient) if isinstance(gradient, keras.Variable | tf.Variable | np.ndarray) else gradient


def dense(value: Any) -> Array:
    """A value as an array; slices of a gradient as the whole of it."""
    if isinstance(value, tf.IndexedSlices):
        value = tf.convert_to_tensor(value)
    return as_array(value)


def leaves(structure: Any) -> list[Any]:
    """The leaves of a structure, None among them; of anything else itself."""
    return list(keras.tree.flatten(structure)) if _is_nested(structure) else [structure]


def _is_nested(value: Any) -> bool:
    return isinstance(value, list | tuple | Mapping)


def same_leaves(ours: Any, theirs: Any) -> bool:
    """Whether two structures hold the same objects."""
    left, right = leaves(ours), leaves(theirs)
    return len(left) == len(right) and all(a is b for a, b in zip(left, right, strict=True))


def is_variable(value: Any) -> bool:
    """Whether it is a variable of Keras or of TensorFlow."""
    return isinstance(value, keras.Variable | tf.Variable)


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, keras.KerasTensor)


def is_number(value: Any) -> bool:
    """Whether it is a scalar that has a value."""
    return _is_array(value) and len(value.shape) == 0


def settings_text(optimizer: Any) -> str:
    """What an optimizer was made with, as JSON; empty of one that cannot be written down."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    try:
        # Without its name, which Keras numbers.
        config = {name: value for name, value in inner.get_config().items() if name != "name"}
        return json.dumps(config, sort_keys=True, default=str)
    except Exception:  # whatever somebody's optimizer or schedule raises
        return ""


def shape_text(value: Any) -> str:
    """The shape in words; none of what has none."""
    return str(list(value.shape)) if hasattr(value, "shape") else ""


def dtype_text(value: Any) -> str:
    """The dtype, or the class of what has none."""
    return keras.backend.standardize_dtype(value.dtype) if hasattr(value, "dtype") else type(value).__name__
