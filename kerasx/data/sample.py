"""A few batches of an epoch, as they are in it, with the last one, which may be short."""

from __future__ import annotations

import numpy as np

from kerasx.data.arrays import Arrays, map_arrays
from kerasx.data.batches import Batches


def sample(batches: Batches, steps: int, epochs: int, *, whole: int = 0) -> tuple[Batches, list[int]]:
    """The first batches of each epoch and its last.

    Args:
        batches: Of arrays, in any order; of a pipeline only the first ones are taken.
        steps: How many, the last one not counted.
        epochs: Of how many epochs, which then repeat.
        whole: Epochs of so many batches are taken whole.

    Returns:
        The batches, and the numbers that they have in a whole epoch.
    """
    if not isinstance(batches.rows, Arrays):
        return batches.limited(max(steps, whole)), list(range(max(steps, whole)))
    assert batches.steps is not None
    if batches.steps <= max(steps + 1, whole):
        return batches, list(range(batches.steps))
    size = batches.batch_size
    orders = [batches.row_numbers(epoch) for epoch in range(epochs)]
    last = (batches.steps - 1) * size
    picked = np.stack([np.concatenate([order[: steps * size], order[last:]]) for order in orders])
    rows = picked.reshape(-1)
    parts = (batches.rows.x, batches.rows.y, batches.rows.sample_weight)
    arrays = Arrays(*(map_arrays(lambda leaf: leaf[rows], part) for part in parts))
    numbers = np.arange(picked.size, dtype=np.int64).reshape(picked.shape)
    few = Batches(arrays, size, lambda epoch: numbers[epoch % epochs], limit=steps + 1)
    return few, [*range(steps), batches.steps - 1]
