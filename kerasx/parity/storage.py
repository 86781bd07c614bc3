"""Traces on disk: a folder of a JSON file and an npz file, without pickles and of bounded size."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kerasx.errors import UsageError, one_line
from kerasx.files import to_json
from kerasx.parity.first_steps import Steps
from kerasx.parity.judge import Envelope
from kerasx.parity.records import Array, Record, Reduced, StepTrace, Trace, reduced
from kerasx.parity.sides import TRACE, Named
from kerasx.parity.state import FullState

ARRAYS = "arrays.npz"
FORMAT = 1
# Of states the first, then of records the smallest, are kept whole until they have so many bytes together.
MOST_BYTES = 256 * 2**20


def check_new(path: Path) -> None:
    """See that a trace can be written, before time is spent on it.

    Raises:
        UsageError: The folder exists.
    """
    if path.exists():
        raise UsageError(f"`{path}` exists: no trace is overwritten.")


def save_trace(path: Path, steps: Steps, noise: Envelope) -> None:
    """Write a trace into a new folder.

    Args:
        path: The folder; it must not exist.
        steps: What was observed, and the states that the steps started from.
        noise: As it was measured beside them.

    Raises:
        UsageError: The folder exists, or cannot be made.
    """
    check_new(path)
    states, size = _whole_states(steps)
    kept = _Arrays(_bound(steps, size))
    described = {
        "format": FORMAT,
        "name": steps.trace.name,
        "about": dict(steps.trace.about),
        "slipped": steps.slipped,
        "steps": [
            {
                "epoch": step.epoch,
                "step": step.step,
                "kind": step.kind,
                "records": [
                    [quantity, record.stage, record.role, record.unit, kept.described(record.value)]
                    for quantity, record in step.records.items()
                ],
            }
            for step in steps.trace.steps
        ],
        "states": [
            {
                "names": list(state.names),
                "own": state.own,
                "values": [kept.whole(value) for value in state.values],
            }
            for state in states
        ],
        "noise": [[kind, quantity, value] for (kind, quantity), value in noise.items()],
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=".tmp-"))
    except OSError as error:
        raise UsageError(f"`{path}` cannot be written: {error.strerror}.") from error
    try:
        np.savez_compressed(str(folder / ARRAYS), allow_pickle=False, **kept.arrays)
        (folder / TRACE).write_text(to_json(described), encoding="utf-8")
        folder.chmod(0o755)
        folder.rename(path)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise UsageError(f"`{path}` cannot be written: {error.strerror}.") from error
        raise


def load_trace(path: Path) -> tuple[Steps, dict[tuple[str, str], float]]:
    """Read a trace.

    Returns:
        What was observed, and the noise that was measured beside it. There are fewer states than steps where
        not all of them could be kept.

    Raises:
        UsageError: The folder is no trace, of another format, or damaged.
    """
    try:
        described = json.loads((path / TRACE).read_text(encoding="utf-8"))
        if described.get("format") != FORMAT:
            raise UsageError(
                f"`{path}` is a trace of format {described.get('format')}, and this kerasx reads {FORMAT}."
            )
        with np.load(path / ARRAYS, allow_pickle=False) as arrays:
            loaded = {name: arrays[name] for name in arrays.files}
        steps = [
            StepTrace(
                each["epoch"],
                each["step"],
                each["kind"],
                {
                    quantity: Record(stage, _value(value, loaded), role, unit)
                    for quantity, stage, role, unit, value in each["records"]
                },
            )
            for each in described["steps"]
        ]
        states = [
            FullState(
                tuple(state["names"]), tuple(_value(value, loaded) for value in state["values"]), state["own"]
            )
            for state in described["states"]
        ]
        trace = Trace(described["name"], steps, described["about"])
        noise = {(kind, quantity): v for kind, quantity, v in described["noise"] if v is not None}
        return Steps(trace, states, described["slipped"]), noise
    except UsageError:
        raise
    except Exception as error:  # whatever a damaged file makes json and NumPy raise
        raise UsageError(f"The trace `{path}` is damaged: {one_line(error)}") from error


def trace_folders(sides: Sequence[Named]) -> dict[str, str]:
    """What the folders of the traces of sides are called, by the sides' names."""
    found: dict[str, str] = {}
    for side in sides:
        name = re.sub(r"[^A-Za-z0-9.=-]+", "-", Path(side.name).name).strip("-") or "trace"
        number = sum(each == name or each.startswith(f"{name}-") for each in found.values())
        found[side.name] = f"{name}-{number + 1}" if number else name
    return found


class _Arrays:
    """The arrays of a trace by name; those with the same bytes are kept once."""

    def __init__(self, largest: int) -> None:
        self.arrays: dict[str, Array] = {}
        self._largest = largest
        self._names: dict[tuple[str, str, tuple[int, ...]], str] = {}

    def described(self, value: Any) -> Any:
        """What stands for a value in JSON."""
        if isinstance(value, str):
            return value
        if isinstance(value, Reduced):
            return vars(value)
        return vars(reduced(value)) if value.nbytes > self._largest else self.whole(value)

    def whole(self, value: Array) -> Any:
        """What stands for an array that is kept whole."""
        small = reduced(value)
        key = (small.digest, small.dtype, small.shape)
        if key not in self._names:
            self._names[key] = f"a{len(self._names)}"
            # NumPy's format knows no bfloat16 and its like: their bytes are kept.
            plain = value if value.dtype.kind in "biufcUS" else value.view(f"u{value.dtype.itemsize}")
            self.arrays[self._names[key]] = plain
        return {"array": self._names[key], "dtype": small.dtype}


def _value(described: Any, arrays: dict[str, Array]) -> Any:
    if isinstance(described, str):
        return described
    if "array" not in described:
        tuples = {name: tuple(described[name]) for name in ("shape", "sketch")}
        return Reduced(**{**described, **tuples})
    array = arrays[described["array"]]
    if array.dtype.name == described["dtype"] or array.dtype.kind in "US":
        return array
    return array.view(tf.as_dtype(described["dtype"]).as_numpy_dtype)


def _whole_states(steps: Steps) -> tuple[list[FullState], int]:
    """The first states that can be kept whole, as steps cannot be taken from others, and their bytes."""
    total = 0
    for number, state in enumerate(steps.states):
        size = sum(value.nbytes for value in state.values)
        if total + size > MOST_BYTES:
            return steps.states[:number], total
        total += size
    return steps.states, total


def _bound(steps: Steps, total: int) -> int:
    """The size of the largest arrays of records that can be kept whole beside so many bytes."""
    values = [record.value for step in steps.trace.steps for record in step.records.values()]
    for size in sorted(value.nbytes for value in values if isinstance(value, np.ndarray)):
        total += size
        if total > MOST_BYTES:
            return size - 1
    return MOST_BYTES
