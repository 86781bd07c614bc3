"""Numbers in the data that are none: where they are, and how many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import tree

from kerasx.data.arrays import Arrays
from kerasx.data.dataset import Dataset

_AT_ONCE = 2**22


@dataclass(frozen=True)
class NonFinite:
    """What one array holds that is not a finite number.

    Attributes:
        name: The array, such as `x_train` or `y_test['digit']`.
        nans: How many values are no number.
        infinite: How many are infinite.
        row: The first row with one, counted from 0.
    """

    name: str
    nans: int
    infinite: int
    row: int

    @property
    def described(self) -> str:
        """The array, how many, of what kind, and where they begin."""
        count = self.nans + self.infinite
        values = "value that is" if count == 1 else "values that are"
        kinds = [
            f"{number} {kind}" for number, kind in ((self.nans, "NaN"), (self.infinite, "infinite")) if number
        ]
        return (
            f"`{self.name}` holds {count} {values} not finite ({', '.join(kinds)}),"
            f" the first in row {self.row}"
        )


PARTS = ("x", "y", "sample_weight")


def non_finite(dataset: Dataset, parts: Sequence[str] = PARTS) -> list[NonFinite]:
    """What the arrays of a data set hold that is not finite; pipelines are not run to see it."""
    return [
        found
        for rows, ending in ((dataset.train, "_train"), (dataset.validation, "_test"))
        if isinstance(rows, Arrays)
        for found in non_finite_in(rows, parts, ending)
    ]


def non_finite_in(rows: Arrays, parts: Sequence[str] = PARTS, ending: str = "") -> list[NonFinite]:
    """The same of some rows; `ending` is that of the names of their arrays."""
    found = [_look(name, array) for name, array in _named(rows, ending, parts)]
    return [each for each in found if each is not None]


def _named(rows: Arrays, ending: str, parts: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for key in parts:
        for path, leaf in tree.flatten_with_path(getattr(rows, key)):
            if leaf is not None:
                yield f"{key}{ending}" + "".join(f"[{part!r}]" for part in path), leaf


def _look(name: str, array: np.ndarray[Any, Any]) -> NonFinite | None:
    if array.dtype.kind not in "fcV":  # V is bfloat16 and its like
        return None
    with np.errstate(all="ignore"):
        # One pass without memory of its own: where the sum is finite, so is every number in it.
        wide = np.result_type(array.dtype, np.float32) if array.dtype.kind != "V" else np.float32
        if np.isfinite(array.sum(dtype=wide)):
            return None
    flat = array.reshape(len(array), -1)
    step = max(1, _AT_ONCE // max(1, flat.shape[1]))
    nans = infinite = 0
    row = None
    for start in range(0, len(flat), step):
        part = flat[start : start + step]
        wrong = ~np.isfinite(part)
        if wrong.any():
            row = start + int(wrong.any(axis=1).argmax()) if row is None else row
            nans += int(np.isnan(part).sum())
            infinite += int(np.isinf(part).sum())
    return None if row is None else NonFinite(name, nans, infinite, row)
