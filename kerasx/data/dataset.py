"""The data of an experiment: rows to train on and rows to validate on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from keras import tree

from kerasx.data.arrays import Arrays, checked, map_arrays
from kerasx.data.signature import Signature, joined
from kerasx.data.streams import Stream, as_stream, is_pipeline
from kerasx.errors import UsageError

KEYS = ("x_train", "y_train", "x_test", "y_test", "sample_weight_train", "sample_weight_test")


@dataclass(frozen=True)
class Dataset:
    """What an experiment trains on and what it is validated on.

    Attributes:
        train: Rows to train on, as arrays or from a pipeline.
        validation: Rows to validate on after each epoch; None for none.
    """

    train: Arrays | Stream
    validation: Arrays | Stream | None = None

    @cached_property
    def signature(self) -> Signature:
        """Shapes, dtypes and label values; the labels' values are those of all rows."""
        labels = self.train.labels
        if labels is not None and self.validation is not None and self.validation.labels is not None:
            # By position: one may have a list where a pipeline has a tuple.
            both = zip(tree.flatten(labels), tree.flatten(self.validation.labels), strict=True)
            labels = tree.pack_sequence_as(labels, [joined(ours, theirs) for ours, theirs in both])
        return Signature(inputs=self.train.inputs, labels=labels)

    @cached_property
    def digest(self) -> str | None:
        """SHA-256 over the structure, dtypes, shapes and bytes of all arrays, in order.

        None where rows come from a pipeline, which may hand out others the next time.
        """
        digest = hashlib.sha256()
        for part in (self.train, self.validation):
            if isinstance(part, Stream):
                return None
            if part is None:
                continue
            described = map_arrays(lambda leaf: f"{leaf.dtype.str}{leaf.shape}", part.data)
            digest.update(repr(described).encode())
            for leaf in tree.flatten(part.data):
                digest.update(np.ascontiguousarray(leaf).data)
        return digest.hexdigest()

    def split(self, share: float) -> Dataset:
        """The last rows of the training arrays as validation rows, as `fit(validation_split=...)` does.

        Raises:
            UsageError: The rows come from a pipeline, or one part would be empty.
        """
        arrays = self.train
        if isinstance(arrays, Stream):
            raise UsageError(
                "validation_split divides arrays, and the rows come from a pipeline: return two pipelines,"
                " (training, validation)."
            )
        kept = math.floor(arrays.rows * (1.0 - share))
        if not 0 < kept < arrays.rows:
            raise UsageError(
                f"validation_split is {share}: of {arrays.rows} rows that leaves {kept} to train on and"
                f" {arrays.rows - kept} to validate on."
            )

        def part(rows: slice) -> Arrays:
            parts = (arrays.x, arrays.y, arrays.sample_weight)
            return Arrays(*(map_arrays(lambda leaf: leaf[rows], each) for each in parts))

        return Dataset(part(slice(kept)), part(slice(kept, None)))


def as_dataset(value: object, source: str) -> Dataset:
    """Take what a user, a function or a file hands over as data.

    Args:
        value: A `Dataset`; a mapping with the keys `x_train`, `y_train` and perhaps `x_test`, `y_test`,
            `sample_weight_train`, `sample_weight_test`; `(x, y)` or `(x, y, sample_weight)`;
            `((x, y), (x_test, y_test))` as `keras.datasets` returns; a `tf.data.Dataset` or a
            `PyDataset`, or two of them to train and to validate on.
        source: Where it came from, for messages.

    Raises:
        UsageError: It has another form, or its arrays do not fit each other.
    """
    if isinstance(value, tuple | list) and len(value) == 2 and is_pipeline(value[0]) and value[1] is None:
        value = value[0]
    if isinstance(value, Dataset):
        dataset = value
    elif isinstance(value, Mapping):
        dataset = _from_mapping(value, source)
    elif (stream := as_stream(value, source)) is not None:
        dataset = Dataset(stream)
    elif isinstance(value, tuple | list) and len(value) == 2 and all(map(_is_rows, value)):
        dataset = Dataset(*(as_stream(each, source) or Arrays(*each) for each in value))
    elif isinstance(value, tuple | list) and 1 <= len(value) <= 3:
        dataset = Dataset(Arrays(*value))
    else:
        raise UsageError(
            f"{source} is {type(value).__name__}, which is no data. Return a mapping with x_train, y_train,"
            " x_test and y_test, or ((x, y), (x_test, y_test)), or a batched tf.data.Dataset or PyDataset."
        )
    train = _checked(dataset.train, source, "training")
    if dataset.validation is None:
        return Dataset(train)
    validation = _checked(dataset.validation, source, "validation")
    for part, ours, theirs in (
        ("inputs", train.inputs, validation.inputs),
        ("labels", train.labels, validation.labels),
    ):
        if (ours is None) != (theirs is None):
            raise UsageError(f"{source}: only one of the training and the validation rows has {part}.")
        if theirs is not None and _ranks(ours) != _ranks(theirs):
            raise UsageError(
                f"{source}: the {part} of the validation rows have another structure or rank than those"
                f" of the training rows: {_shapes(theirs)} and {_shapes(ours)}."
            )
    return Dataset(train, validation)


def _checked(rows: Arrays | Stream, source: str, purpose: str) -> Arrays | Stream:
    return checked(rows, source, purpose) if isinstance(rows, Arrays) else rows


def _ranks(infos: Any) -> str:
    # Lists and tuples are the same here, and so are dictionaries in any order.
    return repr(sorted((str(path), len(info.shape)) for path, info in tree.flatten_with_path(infos)))


def _shapes(infos: Any) -> str:
    return str(tree.map_structure(lambda info: info.described, infos))


def _from_mapping(value: Mapping[Any, Any], source: str) -> Dataset:
    unknown = [str(key) for key in value if key not in KEYS]
    missing = [key for key in ("x_train", "y_train") if key not in value]
    if missing or unknown:
        problem = (
            f"has no `{missing[0]}`" if missing else f"has an array `{unknown[0]}` that means nothing here"
        )
        raise UsageError(
            f"{source} {problem}. It has: {', '.join(map(str, value)) or 'nothing'}. Needed are x_train and"
            " y_train; x_test, y_test, sample_weight_train and sample_weight_test may follow."
        )
    if ("x_test" in value) != ("y_test" in value):
        raise UsageError(f"{source} has only one of x_test and y_test: give both or neither.")
    if "sample_weight_test" in value and "x_test" not in value:
        raise UsageError(f"{source} has sample_weight_test, and no x_test that it could weigh.")
    train = Arrays(value["x_train"], value["y_train"], value.get("sample_weight_train"))
    if "x_test" not in value:
        return Dataset(train)
    return Dataset(train, Arrays(value["x_test"], value["y_test"], value.get("sample_weight_test")))


def _is_rows(value: object) -> bool:
    """Whether it is a pipeline, or a tuple of arrays or of structures of arrays."""
    if is_pipeline(value):
        return True
    if not isinstance(value, tuple | list) or not 1 <= len(value) <= 3:
        return False
    leaves = tree.flatten(value[0])
    return bool(leaves) and hasattr(leaves[0], "shape")
