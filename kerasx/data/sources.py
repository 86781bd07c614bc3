"""Where data comes from: a registered name, an `.npz` file, a function by reference, or objects."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from kerasx.data.archive import check_sizes
from kerasx.data.dataset import KEYS, Dataset, as_dataset
from kerasx.errors import UsageError, nearest, one_line


def load_npz(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of an `.npz` file; pickled objects are refused.

    Raises:
        UsageError: The file is missing, is no npz, is damaged, or holds Python objects.
    """
    if not path.is_file():
        siblings = [p.name for p in path.parent.glob("*.npz")] if path.parent.is_dir() else []
        near = "".join(f" Did you mean `{path.parent / name}`?" for name in nearest(path.name, siblings)[:1])
        raise UsageError(f"There is no file `{path}`.{near}")
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise UsageError(f"`{path}` holds one array without a name. Save it with numpy.savez.")
        with archive, zipfile.ZipFile(path) as entries:
            check_sizes(entries, path)
            return {key: archive[key] for key in archive.files}
    except UsageError:
        raise
    except Exception as error:  # a damaged archive makes zipfile, zlib and numpy raise nearly anything
        pickled = "allow_pickle" in str(error) or "pickled" in str(error)
        why = "it holds Python objects, which are never loaded" if pickled else one_line(error)
        raise UsageError(
            f"`{path}` cannot be read as npz: {why}. Save plain arrays with numpy.savez."
        ) from error


def dataset_from_npz(path: Path) -> Dataset:
    """An `.npz` file with x_train, y_train and perhaps x_test, y_test and sample weights.

    Several inputs, labels or weights are arrays `x_train_NAME`, `y_train_NAME` and so on, which become
    dictionaries by name.

    Raises:
        UsageError: The file cannot be read, or its arrays do not fit.
    """
    parts: dict[str, Any] = {}
    for name, array in load_npz(path).items():
        key = next((key for key in KEYS if name.startswith(f"{key}_")), None)
        if key is None:
            parts[name] = array
        else:
            parts.setdefault(f"{key}_", {})[name.removeprefix(f"{key}_")] = array
    for key in KEYS:
        if (named := parts.pop(f"{key}_", None)) is not None:
            if key in parts:
                first = f"{key}_{next(iter(named))}"
                raise UsageError(f"`{path}` has both `{key}` and `{first}`: name every part, or none.")
            parts[key] = named
    return as_dataset(parts, f"`{path}`")
