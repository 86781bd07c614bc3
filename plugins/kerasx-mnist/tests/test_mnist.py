"""The data set: what it holds, and that its bytes are checked."""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import shutil
from importlib.resources import files
from pathlib import Path

import kerasx_mnist.data
import numpy as np
import pytest
from kerasx_mnist.data import DIGESTS, mnist, read_idx

import kerasx


def test_shapes_dtypes_and_values() -> None:
    """As Keras users know it, the pixels between 0 and 1."""
    data = mnist()
    assert {name: (array.shape, array.dtype.name) for name, array in data.items()} == {
        "x_train": ((60000, 28, 28), "float32"),
        "y_train": ((60000,), "int64"),
        "x_test": ((10000, 28, 28), "float32"),
        "y_test": ((10000,), "int64"),
    }
    assert data["x_train"].min() == 0
    assert data["x_train"].max() == 1
    assert data["y_train"][:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert np.bincount(data["y_test"]).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_pixels_are_divided_in_float32() -> None:
    """The bits of NumPy's float32 division, which are those of the article's program."""
    pixels = read_idx("t10k-images-idx3-ubyte")
    assert np.array_equal(mnist()["x_test"], pixels.astype("float32") / 255)


def test_a_damaged_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One flipped bit, a file cut short, a file that is gone: an error that names the file."""
    folder = tmp_path / "files"
    shutil.copytree(str(files("kerasx_mnist") / "files"), folder)
    monkeypatch.setattr(kerasx_mnist.data, "files", lambda package: tmp_path)
    name = "t10k-labels-idx1-ubyte"
    path = folder / f"{name}.gz"
    whole = path.read_bytes()
    content = bytearray(gzip.decompress(whole))
    content[-1] ^= 1
    for damaged in (gzip.compress(bytes(content)), whole[:1000], b""):
        path.write_bytes(damaged)
        with pytest.raises(kerasx.PluginError, match=name):
            read_idx(name)
    path.unlink()
    with pytest.raises(kerasx.PluginError, match=name):
        read_idx(name)
    path.write_bytes(whole)
    assert hashlib.sha256(gzip.decompress(whole)).hexdigest() == DIGESTS[name]
    assert len(read_idx(name)) == 10000


def test_the_licence_is_beside_the_data() -> None:
    """Creators and licence are named in the package and in the distribution."""
    text = (files("kerasx_mnist") / "files" / "LICENSE.md").read_text()
    for expected in ("LeCun", "Cortes", "Burges", "Share Alike 3.0"):
        assert expected in text
    assert "CC-BY-SA-3.0" in str(importlib.metadata.metadata("kerasx-mnist")["License-Expression"])
