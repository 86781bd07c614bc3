"""What is taken as data, in memory and from files, and how everything else is refused."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kerasx import Arrays, Dataset, UsageError
from kerasx.data.dataset import as_dataset
from kerasx.data.sources import dataset_from_npz, load_npz

X = np.arange(14, dtype=np.float32).reshape(7, 2)
Y = np.array([0, 1, 2, 0, 1, 2, 0])
W = np.linspace(0, 1, 7, dtype=np.float32)


@pytest.mark.parametrize(
    ("given", "train", "validation"),
    [
        (Dataset(Arrays(X), Arrays(X)), (X,), (X,)),
        ({"x_train": X, "y_train": Y}, (X, Y), None),
        ({"x_train": X, "y_train": Y, "x_test": X[:2], "y_test": Y[:2]}, (X, Y), (X[:2], Y[:2])),
        (
            {
                "x_train": X,
                "y_train": Y,
                "sample_weight_train": W,
                "x_test": X,
                "y_test": Y,
                "sample_weight_test": W,
            },
            (X, Y, W),
            (X, Y, W),
        ),
        ((X,), (X,), None),
        ((X, Y), (X, Y), None),
        ([X, Y], (X, Y), None),
        ((X, Y, W), (X, Y, W), None),
        (((X, Y), (X[:3], Y[:3])), (X, Y), (X[:3], Y[:3])),
        ([(X, Y, W), [X, Y]], (X, Y, W), (X, Y)),
    ],
)
def test_the_forms_of_data(given: Any, train: tuple[Any, ...], validation: tuple[Any, ...] | None) -> None:
    dataset = as_dataset(given, "data")
    assert dataset.train.rows == 7
    for part, expected in ((dataset.train, train), (dataset.validation, validation)):
        if part is None or expected is None:
            assert part is expected
        else:
            assert len(part.data) == len(expected)
            assert all((a == b).all() for a, b in zip(part.data, expected, strict=True))


def test_structures_and_what_numpy_can_read_are_taken_as_arrays() -> None:
    class ArrayLike:
        shape = (7,)

        def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
            return Y

    dataset = as_dataset({"x_train": {"a": X, "b": (Y, ArrayLike())}, "y_train": [Y, X]}, "data")
    assert isinstance(dataset.train.x["b"][1], np.ndarray)
    assert dataset.signature.inputs["b"][0].shape == (None,)


def test_pairs_of_dictionaries_are_training_and_validation_rows_too() -> None:
    dataset = as_dataset((({"a": X, "b": Y}, Y), ({"a": X[:2], "b": Y[:2]}, Y[:2])), "data")
    assert sorted(dataset.train.x) == ["a", "b"]
    assert dataset.train.y.tolist() == Y.tolist()
    assert dataset.validation is not None
    assert dataset.validation.x["a"].tolist() == X[:2].tolist()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "NoneType, which is no data"),
        ("mnist", "str, which is no data"),
        (X, "ndarray, which is no data"),
        ((), "tuple, which is no data"),
        ((X, Y, W, X), "tuple, which is no data"),
        ({}, "has no `x_train`. It has: nothing"),
        ({"x_train": X}, "has no `y_train`. It has: x_train"),
        ({"x_train": X, "y_train": Y, "x_tst": X}, "`x_tst` that means nothing"),
        ({"x_train": X, "y_train": Y, 3: X}, "`3` that means nothing"),
        ({"x_train": X, "y_train": Y, "x_test": X}, "only one of x_test and y_test"),
        ({"x_train": X, "y_train": Y, "sample_weight_test": W}, "sample_weight_test"),
        ((X, Y[:5]), "different numbers of rows: (7, 2), (5,)"),
        ((X, Y, W[:5]), "different numbers of rows"),
        (({"a": X, "b": Y[:5]}, Y), "different numbers of rows"),
        (((X, Y), (X, Y[:5])), "validation arrays have different numbers of rows"),
        ((X[:0], Y[:0]), "no training rows"),
        (((X, Y), (X[:0], Y[:0])), "no validation rows"),
        ((np.array([{}, []], object), Y[:2]), "Python objects"),
        ((X, np.array([None] * 7)), "Python objects"),
        ((np.float32(3), Y), "single value"),
        ((X, 3), "single value"),
        ((X, [0, 1, 2, 0, 1, 2, 0]), "single value"),
    ],
)
def test_what_is_no_data_is_refused_with_the_reason(given: object, expected: str) -> None:
    with pytest.raises(UsageError) as raised:
        as_dataset(given, "`own.py:data`")
    assert str(raised.value).startswith("`own.py:data`")
    assert expected in str(raised.value)


@pytest.mark.parametrize(
    "validation", [({"a": X}, Y), (X, {"a": Y}), (X, [Y, Y]), (X[:, None], Y), (X, np.eye(3)[Y])]
)
def test_validation_rows_have_the_form_of_the_training_rows(validation: tuple[Any, ...]) -> None:
    with pytest.raises(UsageError, match="validation"):
        as_dataset(((X, Y), validation), "data")


def saved(path: Path, save: Any = np.savez, **arrays: Any) -> Path:
    save(path, **arrays)
    return path


def test_an_npz_file_is_read_as_it_was_saved(tmp_path: Path) -> None:
    for save in (np.savez, np.savez_compressed):
        arrays = {"x_train": X, "y_train": Y, "x_test": X[:2], "y_test": Y[:2], "sample_weight_train": W}
        file = saved(tmp_path / f"{save.__name__}.npz", save, **arrays)
        loaded = load_npz(file)
        assert {key: value.tobytes() for key, value in loaded.items()} == {
            k: v.tobytes() for k, v in arrays.items()
        }
        dataset = dataset_from_npz(file)
        assert dataset.validation is not None
        assert (dataset.train.rows, dataset.validation.rows) == (7, 2)
        assert dataset.digest == as_dataset(arrays, "data").digest


def test_an_npz_file_that_is_missing_or_lacks_a_key_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path / "digits.npz", x=X, y=Y)
    with pytest.raises(UsageError, match=r"There is no file.*digts\.npz.*Did you mean.*digits\.npz"):
        load_npz(tmp_path / "digts.npz")
    with pytest.raises(UsageError, match="There is no file"):
        load_npz(tmp_path / "nowhere" / "digits.npz")
    with pytest.raises(UsageError, match=r"digits\.npz` has no `x_train`. It has: x, y"):
        dataset_from_npz(file)


class Canary:
    """What unpickling it would do is seen."""

    loaded = False

    def __reduce__(self) -> tuple[Any, ...]:
        return (setattr, (Canary, "loaded", True))


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    file = saved(tmp_path / "objects.npz", x_train=np.array([Canary()], object), y_train=Y[:1])
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Canary()))
    for path in (file, tmp_path / "pickle.npz"):
        with pytest.raises(UsageError, match=r"cannot be read as npz: it holds Python objects"):
            load_npz(path)
    assert not Canary.loaded


def test_what_is_no_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x_train.npy", "no array")
        archive.writestr("y_train", "no array")
    with pytest.raises(UsageError, match=r"own\.npz"):
        dataset_from_npz(path)
    for content in (b"", b"x_train,y_train\n1,2\n", b"PK\3\4", b"\x93NUMPY", b"\x80\x04", b"\0" * 100):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"own\.npz` cannot be read as npz"):
            load_npz(path)
    with path.open("wb") as file:
        np.save(file, X)
    with pytest.raises(UsageError, match="one array without a name"):
        load_npz(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_npz_file_is_refused_or_does_no_harm(tmp_path: Path, save: Any) -> None:
    """Cut short anywhere, or with any byte changed: a message, or the very arrays that were saved."""
    path = tmp_path / "own.npz"
    save(path, x_train=X, y_train=Y)
    whole, digest = path.read_bytes(), dataset_from_npz(path).digest
    cut = [whole[:length] for length in range(0, len(whole), 3)]
    changed = [
        whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :]
        for place in range(len(whole))
        for mask in (0x01, 0xFF)
    ]
    refusals = 0
    for content in [*cut, *changed]:
        path.write_bytes(content)
        try:
            assert dataset_from_npz(path).digest == digest
        except UsageError:
            refusals += 1
    assert refusals > len(cut)
