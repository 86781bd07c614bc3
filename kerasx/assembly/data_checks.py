"""What data brings that training would make nonsense of: refused, or told where somebody may want it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import tree

from kerasx.data.arrays import map_arrays
from kerasx.data.dataset import Dataset
from kerasx.data.finite import NonFinite, non_finite
from kerasx.data.streams import Stream
from kerasx.errors import UsageError
from kerasx.experiment import Experiment
from kerasx.training.steps import forward, total_loss

_CLEAN = "Replace them, or leave those rows out."
# Labels that are all the same in so many rows are looked at in all others.
_FIRST = 1000


def told_of(dataset: Dataset, experiment: Experiment) -> list[str]:
    """What the data brings that the experiment does not decide, or hardly wants."""
    notes = []
    rows = dataset.train
    if isinstance(rows, Stream):
        notes.append(
            "the data is a pipeline: its batches and their rows are its own, and it has no digest"
            if isinstance(rows.source, keras.utils.PyDataset)
            else "the data is a pipeline: its batches and their order are its own, and it has no digest"
        )
    else:
        if experiment.batch_size > rows.rows:
            notes.append(
                f"batch_size is {experiment.batch_size}, and there are {rows.rows} rows to train on: an epoch"
                " is one batch with all of them"
            )
        if isinstance(rows.y, np.ndarray) and rows.rows > 1 and _is_constant(rows.y):
            notes.append(
                f"all labels to train on are the same ({_shown(rows.y[0])}): there is nothing to tell apart"
            )
    if experiment.validation_split is not None and dataset.validation is not None:
        notes.append("validation_split: the data set's own validation rows are left aside")
    return notes


def _is_constant(labels: np.ndarray[Any, Any]) -> bool:
    return all(bool((part == labels[0]).all()) for part in (labels[:_FIRST], labels))


def _shown(label: Any) -> str:
    text = " ".join(np.array2string(np.asarray(label), threshold=8).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_finite_labels(dataset: Dataset) -> None:
    """Refuse labels that are not finite, for a loss of Keras's or kerasx's, none of which takes them.

    Raises:
        UsageError: There are some; every array is named.
    """
    _refuse(non_finite(dataset, ("y",)))


def check_finite(model: keras.Model, dataset: Dataset, batch_size: int, *, own_step: bool) -> list[str]:
    """Refuse numbers that are not finite, unless the model and its loss are made for them.

    A model may replace them, and a loss of one's own may leave missing labels out: there the loss of the
    rows in question is finite. A step of one's own may do so too, which cannot be seen from here.

    Args:
        model: Compiled.
        dataset: As the steps see it.
        batch_size: Of the experiment.
        own_step: Whether the step or the loop is the user's.

    Returns:
        What is to be said where they are taken.

    Raises:
        UsageError: The loss of the rows with them is not finite; every array is named.
    """
    found = non_finite(dataset)
    parts: tuple[tuple[Any, str], ...] = ((dataset.train, "train"), (dataset.validation, "test"))
    for rows, ending in parts if not own_step else ():
        numbers = {each.row for each in found if each.name.partition("[")[0].endswith(ending)}
        if numbers:
            # As many as a batch has, which a model may be made for.
            batch = np.resize(sorted(numbers), min(batch_size, rows.rows))
            if not _has_finite_loss(model, rows, batch):
                _refuse(found)
    return [
        f"{each.described}, which the {'step' if own_step else 'model'} is left to deal with"
        for each in found
    ]


def _has_finite_loss(model: keras.Model, rows: Any, numbers: Any) -> bool:
    x, y, weight = (
        map_arrays(lambda leaf: keras.ops.convert_to_tensor(leaf[numbers]), tree.lists_to_tuples(part))
        for part in (rows.x, rows.y, rows.sample_weight)
    )
    try:
        with keras.StatelessScope():  # states that move with a call stay as they are
            loss = total_loss(model, x, y, forward(model, x, training=False), weight, training=False)
            return bool(np.isfinite(keras.ops.convert_to_numpy(loss)).all())
    except Exception:  # what raises here raises in training, with better words
        return True


def _refuse(found: list[NonFinite]) -> None:
    if found:
        said = "; ".join(each.described for each in found)
        raise UsageError(f"The data cannot be trained on or evaluated: {said}. {_CLEAN}")
