"""Data: the order of batches, the tf.data view, labels, and what is taken as data or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasx import Arrays, Batches, Dataset, LabelInfo, UsageError, batch_order
from kerasx.data.batches import training_batches, validation_batches
from kerasx.data.dataset import as_dataset
from kerasx.data.labels import needs_one_hot, one_hot
from kerasx.data.signature import TensorInfo, label_info

SEED = st.integers(0, 2**32 - 1)
X = np.arange(14, dtype=np.float32).reshape(7, 2)
Y = np.array([0, 1, 2, 0, 1, 2, 0])
W = np.linspace(0, 1, 7, dtype=np.float32)


@given(SEED, st.integers(0, 10**6), st.integers(1, 300))
def test_the_order_is_a_permutation_and_a_function_of_seed_and_epoch(
    seed: int, epoch: int, rows: int
) -> None:
    order = batch_order(seed, epoch, rows)
    assert order.dtype == np.int64
    assert sorted(order) == list(range(rows))
    np.random.random(3)
    assert (batch_order(seed, epoch, rows) == order).all()


@given(SEED, st.integers(0, 10**6))
def test_another_epoch_or_seed_has_another_order(seed: int, epoch: int) -> None:
    orders = [batch_order(s, e, 100) for s, e in ((seed, epoch), (seed, epoch + 1), (seed ^ 1, epoch))]
    assert len({order.tobytes() for order in orders}) == 3


def test_the_order_is_the_same_for_ever() -> None:
    """Runs of earlier versions can be resumed and repeated only as long as these numbers stand."""
    assert batch_order(0, 0, 10).tolist() == [6, 1, 0, 5, 3, 8, 7, 9, 2, 4]
    assert batch_order(7, 3, 10).tolist() == [5, 4, 9, 2, 7, 1, 0, 8, 3, 6]


@settings(max_examples=15)
@given(SEED, st.integers(0, 50), st.integers(1, 40), st.integers(1, 50))
def test_an_epoch_has_every_row_once_in_the_order(seed: int, epoch: int, rows: int, size: int) -> None:
    arrays = Arrays(np.arange(rows), np.arange(rows) * 2, np.arange(rows) * 3)
    batches = training_batches(arrays, size, seed)
    seen = [[part.numpy() for part in batch] for batch in batches.epoch(epoch)]
    assert len(seen) == len(batches) == -(-rows // size)
    assert [len(batch[0]) for batch in seen] == [size] * (rows // size) + [rows % size] * (rows % size > 0)
    order = batch_order(seed, epoch, rows)
    for part, factor in enumerate((1, 2, 3)):
        assert np.concatenate([batch[part] for batch in seen]).tolist() == (order * factor).tolist()


def rows_of(batches: Any) -> list[Any]:
    return [row for batch in batches for row in batch[0].numpy().tolist()]


def test_the_dataset_that_fit_iterates_follows_the_position() -> None:
    batches = training_batches(Arrays(np.arange(9)), 4, seed=3)
    dataset = batches.dataset
    orders = []
    for epoch in (0, 1, 0):
        batches.position = epoch
        assert rows_of(dataset) == batch_order(3, epoch, 9).tolist()
        orders.append(rows_of(batches))
    assert orders[0] == orders[2] != orders[1]


def test_validation_keeps_the_order_of_the_rows_and_a_limit_counts_batches() -> None:
    assert rows_of(validation_batches(Arrays(X, Y), 3).epoch(5)) == X.tolist()
    batches = training_batches(Arrays(np.arange(9)), 2, seed=1).limited(2)
    assert (len(batches), batches.steps, sum(len(x) for (x,) in batches)) == (2, 2, 4)
    assert rows_of(batches.epoch(0)) == batch_order(1, 0, 9).tolist()[:4]
    assert len(rows_of(Batches(Arrays(np.arange(3)), 2, limit=9))) == 3


def test_batches_have_an_unknown_batch_axis_and_the_structure_of_the_data() -> None:
    arrays = Arrays({"a": X, "b": (Y, np.array(list("abcdefg")))}, [Y, X], W)
    batches = training_batches(arrays, 3, seed=0)
    x, y, weight = batches.signature
    assert [x["a"].shape.as_list(), x["b"][0].shape.as_list(), weight.shape.as_list()] == [
        [None, 2],
        [None],
        [None],
    ]
    assert y[1].shape.as_list() == [None, 2]
    order = batch_order(0, 0, 7)[:3]
    x, y, weight = next(iter(batches.epoch(0)))
    assert x["a"].numpy().tobytes() == X[order].tobytes()
    assert x["b"][0].numpy().tolist() == Y[order].tolist()
    assert [text.decode() for text in x["b"][1].numpy()] == ["abcdefg"[row] for row in order]
    assert y[1].numpy().tobytes() == X[order].tobytes()
    assert weight.numpy().tobytes() == W[order].tobytes()
    assert len(training_batches(Arrays(X), 3, seed=0).signature) == 1
    assert len(training_batches(Arrays(X, Y), 3, seed=0).signature) == 2


@pytest.mark.parametrize(
    ("labels", "integral", "one_hot_rows", "classes"),
    [
        (np.array([0, 3, 1]), True, False, 4),
        (np.array([[0], [3]], np.uint8), True, False, 4),
        (np.array([-1, 1]), True, False, None),
        (np.array([0.0, 3.0]), True, False, None),
        (np.array([0.5, 3.0]), False, False, None),
        (np.array([np.nan, 1.0]), False, False, None),
        (np.array([True, False]), True, False, None),
        (np.eye(3, dtype=np.float32), True, True, 3),
        (np.eye(3, dtype=np.uint8)[[0, 0]], True, True, 3),
        (np.array([[1, 1], [0, 0]]), True, False, None),
        (np.array([[0.9, 0.1]]), False, False, None),
        (np.array([[1], [1]]), True, False, 2),
        (np.array(["cat", "dog"]), False, False, None),
    ],
)
def test_labels_are_described_by_their_values(
    labels: np.ndarray[Any, Any], integral: bool, one_hot_rows: bool, classes: int | None
) -> None:
    info = label_info(labels)
    assert (info.integral, info.one_hot, info.classes) == (integral, one_hot_rows, classes)
    assert info.shape == (None, *labels.shape[1:])
    assert info.dtype == ("string" if labels.dtype.kind == "U" else labels.dtype.name)
    if integral:
        assert (info.minimum, info.maximum) == (labels.min(), labels.max())


def test_the_signature_knows_the_labels_of_all_rows() -> None:
    signature = as_dataset(((X, Y), (X[:2], np.array([0, 9]))), "data").signature
    assert signature.inputs == TensorInfo((None, 2), "float32")
    assert isinstance(signature.labels, LabelInfo)
    assert signature.labels.classes == 10


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.booleans())
def test_class_numbers_become_one_hot_rows(numbers: list[int], column: bool) -> None:
    labels = np.array(numbers).reshape(-1, 1) if column else np.array(numbers)
    train = Arrays(np.zeros((len(numbers), 1)), labels, np.ones(len(numbers)))
    encoded = one_hot(Dataset(train, train), 6)
    assert encoded.validation is not None
    for part in (encoded.train, encoded.validation):
        assert part.y.dtype == np.float32
        assert part.y.shape == (len(numbers), 6)
        assert (part.y.argmax(axis=-1) == numbers).all()
        assert (part.y.sum(axis=-1) == 1).all()
        assert part.x is train.x
        assert part.sample_weight is train.sample_weight


@pytest.mark.parametrize(
    "labels", [Y.astype(float), np.eye(7), Y - 1, {"a": Y}, None, np.array([0, 6] * 3 + [0])]
)
def test_what_is_no_class_number_is_not_encoded(labels: Any) -> None:
    with pytest.raises(UsageError, match="labels"):
        one_hot(Dataset(Arrays(X, labels)), 6)


def test_one_hot_rows_are_needed_where_numbers_meet_outputs_one_a_class() -> None:
    for labels, outputs, needed in (
        (Y, (None, 3), True),
        (Y[:, None], (None, 3), True),
        (np.eye(3)[Y], (None, 3), False),
        (Y, (None, 1), False),
        (Y, (None,), False),
        (Y.astype(float), (None, 3), False),
        (np.zeros((7, 4), int), (None, 3), False),
    ):
        assert needs_one_hot(label_info(labels), TensorInfo(outputs, "float32")) is needed


def test_the_digest_tells_data_apart() -> None:
    datasets = [
        ((X, Y), (X, Y)),
        (X, Y),
        (X, Y, W),
        (X,),
        (X, Y[::-1]),
        (X.astype(np.float64), Y),
        (X.reshape(7, 1, 2), Y),
        ({"a": X}, Y),
        ({"b": X}, Y),
        (np.array(list("abcdefg")), Y),
    ]
    digests = [as_dataset(each, "data").digest for each in datasets]
    assert len(set(digests)) == len(datasets)
    assert [as_dataset(each, "data").digest for each in datasets] == digests
    assert as_dataset((np.asfortranarray(X), Y.copy()), "data").digest == digests[1]
