"""The batches that the reference steps through, as Keras unpacks them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasx.assembly.assemble import Assembly
from kerasx.data.arrays import Arrays
from kerasx.data.batches import Batches
from kerasx.parity.reference.run import Batch, Plan


def picked(data: Any, rows: tuple[int, ...] | None) -> Batch | None:
    """A batch of some rows; None for one that is left aside."""
    if rows is None:
        return None
    return _as_batch(
        keras.tree.map_structure(
            lambda leaf: None if leaf is None else tf.convert_to_tensor(leaf[list(rows)]), data
        )
    )


def count_of(data: Any) -> int:
    """How many rows `(x, y, sample_weight)` has."""
    return int(next(leaf for leaf in keras.tree.flatten(data[0]) if leaf is not None).shape[0])


def epoch_of(batches: Batches, epoch: int) -> list[Batch]:
    """The batches of one epoch."""
    found = [_as_batch(batch) for batch in batches.epoch(epoch)]
    batches.end_epoch()
    return found


def _as_batch(data: Any) -> Batch:
    return tuple(keras.utils.unpack_x_y_sample_weight(data))


def all_rows(assembly: Assembly, plan: Plan) -> Any:
    """All that can be trained on, `(x, y, sample_weight)` of arrays: of a pipeline what the plan has."""
    rows = assembly.dataset.train
    if isinstance(rows, Arrays):
        return (rows.x, rows.y, rows.sample_weight)
    batches = [batch for epoch in plan.epochs for batch in epoch if batch is not None]
    return keras.tree.map_structure(
        lambda *leaves: None if leaves[0] is None else np.concatenate([np.asarray(leaf) for leaf in leaves]),
        *batches,
    )
