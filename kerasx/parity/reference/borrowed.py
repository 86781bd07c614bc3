"""What the reference takes of the side that it is to reproduce, where there is no cause to look for in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from kerasx.parity.first_steps import Steps
from kerasx.parity.records import Reduced
from kerasx.parity.reference.deviation import At


def take_initial(
    called: dict[int, str], model: keras.Model, names: Sequence[str], like: Steps | None
) -> None:
    """Begin with the values of some variables that the side began with."""
    assert like is not None
    records = like.trace.steps[0].records
    for variable in model.variables:
        name = called[id(variable)]
        record = records.get(f"initial value of {name}") or records.get(f"initial seed {name}")
        if name in names and record is not None and not isinstance(record.value, str | Reduced):
            variable.assign(record.value)


def given(name: str, at: At, like: Steps | None) -> Any:
    """What the step that is reproduced returned under a name that is none of the reference's."""
    assert like is not None
    prefix = "val_" if at.kind == "evaluation" else ""
    record = like.trace.steps[at.index].records.get(f"returned {prefix}{name}")
    return (
        0.0
        if record is None or isinstance(record.value, str | Reduced)
        else tf.convert_to_tensor(record.value)
    )


def applied(name: str, call: int, at: At, like: Steps | None) -> Any:
    """The gradient of a variable in one of several calls that applied some; None where there was none."""
    assert like is not None
    number = f" ({call + 1})" if call else ""
    record = like.trace.steps[at.index].records.get(f"gradient of {name}{number}")
    return None if record is None or isinstance(record.value, str | Reduced) else record.value
