"""Reads MNIST from the files of this package."""

from __future__ import annotations

import gzip
import hashlib
import struct
from importlib.resources import files
from typing import Any

import numpy as np

from kerasx import PluginError

# SHA-256 of the uncompressed IDX files.
DIGESTS = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def mnist() -> dict[str, np.ndarray[Any, Any]]:
    """The images and labels of MNIST.

    Returns:
        `x_train` `[60000, 28, 28]` and `x_test` `[10000, 28, 28]`, float32, pixels divided by 255 in
        float32; `y_train` and `y_test`, int64 of shape `[rows]`.

    Raises:
        PluginError: A file of this package is missing or damaged.
    """
    return {
        "x_train": _scaled(read_idx("train-images-idx3-ubyte")),
        "y_train": read_idx("train-labels-idx1-ubyte").astype(np.int64),
        "x_test": _scaled(read_idx("t10k-images-idx3-ubyte")),
        "y_test": read_idx("t10k-labels-idx1-ubyte").astype(np.int64),
    }


def _scaled(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Divided by 255 in float32, in one pass."""
    scaled: np.ndarray[Any, Any] = np.divide(pixels, np.float32(255), dtype=np.float32)
    return scaled


def read_idx(name: str) -> np.ndarray[Any, Any]:
    """One IDX file of this package, uint8, in the shape its header gives.

    Raises:
        PluginError: The file is missing, or its bytes are not those of MNIST.
    """
    try:
        content = gzip.decompress((files("kerasx_mnist") / "files" / f"{name}.gz").read_bytes())
    except (OSError, EOFError) as error:
        raise PluginError(f"kerasx-mnist cannot read its file {name}: {error}. Install it again.") from error
    if hashlib.sha256(content).hexdigest() != DIGESTS[name]:
        raise PluginError(f"The file {name} of kerasx-mnist is damaged. Install it again.")
    axes = content[3]
    shape = struct.unpack(f">{axes}I", content[4 : 4 + 4 * axes])
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
