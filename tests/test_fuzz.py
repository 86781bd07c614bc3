"""Whatever is in an experiment or an npz file: it is taken, or refused with a message; nothing else."""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kerasx import Engine, Experiment
from kerasx.cli.options import parse_settings
from kerasx.data.sources import dataset_from_npz
from kerasx.errors import KerasxError
from kerasx.experiment import merged
from kerasx.parity.explain.replay import written
from kerasx.parity.storage import load_trace
from kerasx.runs.directory import RunDirectory


def examples(number: int) -> settings:
    """So many, however long each takes."""
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    return settings(max_examples=number, suppress_health_check=checks)


FIELDS = st.sampled_from(sorted(Experiment.model_fields))
TEXT = st.text(max_size=12)
TOML_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
WORDS = st.sampled_from(
    [
        "mlp",
        "mnist",
        "adam",
        "sgd",
        "mse",
        "none",
        "eager",
        "fused",
        "",
        " ",
        "a.py:b",
        "x:y",
        "<object>",
        "x.npz",
        "m.keras",
    ]
)
NUMBERS = st.one_of(
    st.integers(),
    st.integers(-3, 3),
    st.floats(),
    st.sampled_from([0, -1, 2**31, 2**63, 10**40, 1e308, float("nan"), float("inf")]),
)
KEYS = (
    FIELDS
    | st.sampled_from(["name", "options", "value", "step", "learning_rate", "self", "source"])
    | TOML_TEXT
)


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values of any depth, with keys that mean something among others."""
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=6,
    )


TOML_VALUES = nested(
    st.one_of(WORDS, TOML_TEXT, NUMBERS, st.booleans(), st.dates(), st.times(), st.datetimes())
)


class Odd:
    """An object that is nothing, and cannot even be printed."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")


OBJECT_VALUES = nested(
    st.one_of(
        WORDS,
        TEXT,
        NUMBERS,
        st.none(),
        st.booleans(),
        st.binary(max_size=5),
        st.complex_numbers(),
        st.builds(Odd),
        st.builds(Path, st.just("x")),
        arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes(max_dims=2, max_side=3)),
        st.sets(st.integers(), max_size=2),
        st.just(len),
        st.just(Odd),
    )
)
VALID: dict[str, Any] = {
    "model": {"name": "mlp", "hidden": [8]},
    "dataset": "mnist",
    "loss": {"digit": "mse", "odd": {"name": "huber", "delta": 2.0}},
    "loss_weights": {"odd": 0.5},
    "metrics": {"digit": ["accuracy"], "odd": ["accuracy", "auc"]},
    "optimizer": {"name": "adam", "learning_rate": {"name": "cosine_decay", "decay_steps": 10}},
    "class_weight": {"0": 1.0, "1": 2.0},
    "epochs": 3,
    "batch_size": 32,
    "seed": 1,
    "strategy": {"name": "custom-step", "step": "own.py:step"},
    "callbacks": [{"name": "early_stopping", "patience": 2}],
}


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """An error of kerasx's own is an answer, if it says something in a few lines."""
    try:
        yield
    except KerasxError as error:
        is_told = error.exit_code in (2, 3) and 0 < len(str(error).strip()) < 5000
        if not is_told:
            raise AssertionError(f"exit code {error.exit_code}, {str(error)[:5000]!r}") from error


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def read(folder: Path, content: bytes) -> None:
    """Read an experiment file, and go through what is done with one."""
    file = folder / "experiment.toml"
    file.write_bytes(content)
    with answered():
        experiment = Experiment.from_toml(file)
        again = merged(experiment.to_plain(), {"optimizer": "sgd", "learning_rate": 0.1})
        Experiment.parse_plain(again, source="the options")
        assert Experiment.parse(experiment.to_plain()).to_toml() == experiment.to_toml()
        assert isinstance(experiment.code, list)


@examples(500)
@given(values=st.dictionaries(KEYS, TOML_VALUES, max_size=5))
def test_any_table_as_an_experiment(folder: Path, values: dict[str, Any]) -> None:
    read(folder, tomli_w.dumps(values).encode())


@examples(400)
@given(st.data())
def test_an_experiment_with_something_changed(folder: Path, data: st.DataObject) -> None:
    """At any depth a value is replaced, taken away or added."""
    values = json.loads(json.dumps(VALID))
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = values
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = data.draw(st.sampled_from(keys)) if keys else None
            if key is None or not isinstance(place[key], dict | list) or data.draw(st.booleans()):
                break
            place = place[key]
        change = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "add" and isinstance(place, dict):
            place[data.draw(KEYS)] = data.draw(TOML_VALUES)
        elif key is not None and change == "remove":
            del place[key]
        elif key is not None:
            place[key] = data.draw(TOML_VALUES)
    read(folder, tomli_w.dumps(values).encode())


@examples(300)
@given(st.data())
def test_an_experiment_file_with_changed_bytes(folder: Path, data: st.DataObject) -> None:
    content = bytearray(tomli_w.dumps(VALID).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    read(
        folder,
        bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content),
    )


@examples(200)
@given(
    content=st.binary(max_size=60)
    | st.text(alphabet="[]{}=.,'\"#\n\\ axn01-:\t", max_size=60).map(str.encode)
)
def test_any_bytes_as_an_experiment_file(folder: Path, content: bytes) -> None:
    read(folder, content)


@examples(400)
@given(
    values=st.dictionaries(KEYS | TEXT, OBJECT_VALUES, max_size=5),
    over=st.dictionaries(KEYS, OBJECT_VALUES, max_size=2),
)
def test_any_values_as_an_experiment(values: dict[str, Any], over: dict[str, Any]) -> None:
    """Objects, too, which code hands over."""
    with answered():
        Experiment().with_values(**over)
    with answered():
        experiment = Experiment(**values)
        assert isinstance(experiment.objects, list)
        assert isinstance(experiment.code, list)
        experiment.to_toml()
        experiment.with_values(**over)


@examples(200)
@given(
    st.lists(
        st.builds("{}{}{}".format, KEYS | TEXT, st.sampled_from(["=", ".", "", ".name="]), TEXT), max_size=4
    )
)
def test_any_settings(texts: list[str]) -> None:
    with answered():
        Experiment.parse_plain(merged({}, parse_settings(texts)), source="the options")


SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)
PLAIN = arrays.arrays(
    st.sampled_from(["float32", "float64", "float16", "int64", "uint8", "bool", "<U2"]), SHAPES
)
NAMES = st.sampled_from(
    [
        "x_train",
        "y_train",
        "x_test",
        "y_test",
        "sample_weight_train",
        "sample_weight_test",
        "x_train_a",
        "y_train_b",
    ]
)
FILES = st.dictionaries(NAMES, PLAIN, max_size=5) | st.dictionaries(
    NAMES | TOML_TEXT.filter(bool), PLAIN, max_size=3
)


def npz(values: dict[str, Any], *, compressed: bool = False) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        for name, array in values.items():
            with archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, array, allow_pickle=True)
    return file.getvalue()


def load(folder: Path, content: bytes) -> None:
    """Read a data file, and ask of it what is asked before anything is trained."""
    path = folder / "own.npz"
    path.write_bytes(content)
    with answered():
        dataset = dataset_from_npz(path)
        assert dataset.signature is not None
        assert dataset.digest is not None
        assert dataset.train.rows > 0  # type: ignore[union-attr]


@examples(250)
@given(values=FILES, compressed=st.booleans())
def test_any_arrays_as_data(folder: Path, values: dict[str, Any], compressed: bool) -> None:
    load(folder, npz(values, compressed=compressed))


@examples(100)
@given(rows=st.integers(0, 6), data=st.data())
def test_arrays_of_any_dtype_with_as_many_rows(folder: Path, rows: int, data: st.DataObject) -> None:
    dtypes = st.one_of(arrays.scalar_dtypes(), arrays.nested_dtypes(max_itemsize=20))
    values = {
        name: np.zeros([rows, *data.draw(SHAPES)], data.draw(dtypes)) for name in ("x_train", "y_train")
    }
    load(folder, npz(values))


GOOD = {"x_train": np.arange(20, dtype="float32").reshape(10, 2), "y_train": np.arange(10) % 3}


@examples(250)
@given(compressed=st.booleans(), data=st.data())
def test_a_data_file_with_changed_bytes(folder: Path, compressed: bool, data: st.DataObject) -> None:
    content = bytearray(npz(GOOD, compressed=compressed))
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    load(
        folder,
        bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content),
    )


@examples(100)
@given(
    shape=st.lists(st.integers(-(2**65), 2**65) | st.integers(0, 9), max_size=4),
    descr=st.sampled_from(["<f4", "|O", "<i8", "|S0", "<U99999999", "|V8"]) | TOML_TEXT,
    body=st.binary(max_size=40),
)
def test_any_header_of_an_array(folder: Path, shape: list[int], descr: str, body: bytes) -> None:
    """Shapes that no memory holds, and types that there are not."""
    file = BytesIO()
    header = (
        repr({"descr": descr, "fortran_order": False, "shape": tuple(shape)}).encode("latin-1", "replace")
        + b"\n"
    )
    file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body)
    entries = BytesIO()
    with zipfile.ZipFile(entries, "w") as archive:
        archive.writestr("x_train.npy", file.getvalue())
    load(folder, entries.getvalue())


JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["findings", "deviations", "kind", "format", "steps", "states", "noise", "status", "history"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@examples(200)
@given(value=JSON, cut=st.none() | st.integers(0, 40))
def test_any_json_as_a_summary_an_explanation_or_a_trace(folder: Path, value: Any, cut: int | None) -> None:
    text = json.dumps(value)[:cut]
    for name in ("summary.json", "environment.json", "trace.json"):
        (folder / name).write_text(text)
    (folder / "arrays.npz").write_bytes(npz(GOOD))
    directory = RunDirectory(folder)
    for ask in (
        lambda: directory.summary,
        lambda: directory.working_directory,
        lambda: written(folder / "summary.json"),
        lambda: load_trace(folder),
    ):
        with answered():
            ask()


ROWS = st.sampled_from([1, 5])
SMALL: dict[str, Any] = {
    "model": st.sampled_from(
        ["mlp", {"name": "mlp", "hidden": [2]}, {"name": "mlp", "hidden": [0]}, "gone.keras"]
    ),
    "loss": st.sampled_from(
        ["mse", "binary_crossentropy", "sparse_categorical_crossentropy", "poisson", "hinge", "ctc"]
    ),
    "metrics": st.sampled_from([[], ["accuracy"], ["auc"], ["mse"], ["f1_score"], ["precision"]]),
    "optimizer": st.sampled_from(
        ["sgd", "adam", {"name": "sgd", "momentum": 0.5}, {"name": "sgd", "weight_decay": -1.0}]
    ),
    "learning_rate": st.sampled_from([0.1, 1e30, 1e-30]),
    "labels": st.sampled_from(["as-given", "one-hot"]),
    "validation_split": st.sampled_from([None, 0.2, 0.9]),
    "batch_size": st.sampled_from([1, 3, 2**31 - 1]),
}


@examples(30)
@given(data=st.data())
def test_any_data_as_far_as_one_batch(folder: Path, data: st.DataObject) -> None:
    """What is taken is assembled and takes one step."""
    rows = data.draw(ROWS)
    x = data.draw(arrays.arrays(st.sampled_from(["float32", "int32", "<U2"]), (rows, 2)))
    y = data.draw(
        arrays.arrays(
            st.sampled_from(["float32", "int64", "uint8", "bool"]),
            st.sampled_from([(rows,), (rows, 1), (rows, 3)]),
        )
    )
    if y.dtype.kind in "iu" and data.draw(st.booleans()):
        y %= 3
    values = {name: data.draw(values) for name, values in SMALL.items()}
    with answered(), np.errstate(all="ignore"):
        Engine(runs=folder / "runs").dry_run(dataset=(x, y), execution="eager", **values)
