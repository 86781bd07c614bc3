"""Batch order: a pure function of seed and epoch, the same for every strategy and process."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def batch_order(seed: int, epoch: int, rows: int) -> npt.NDArray[np.int64]:
    """A full permutation of the rows for one epoch.

    Args:
        seed: Of the experiment.
        epoch: Counted from 0.
        rows: How many rows there are.

    Returns:
        The row numbers in the order of the epoch, int64 of shape `[rows]`.
    """
    # RandomState rather than Generator: NumPy has frozen its streams for good (NEP 19).
    bits = np.random.MT19937(np.random.SeedSequence([seed, epoch]))
    return np.random.RandomState(bits).permutation(rows).astype(np.int64, copy=False)
