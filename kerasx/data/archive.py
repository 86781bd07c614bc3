"""Whether an npz archive can hold what it claims to, before memory is taken for it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import IO
from zipfile import ZipFile, ZipInfo

from numpy.lib import format as npy

from kerasx.data.memory import memory
from kerasx.errors import UsageError

# No byte that zip deflates stands for more bytes than this; a little is added for tiny entries.
_MOST_OF_A_BYTE = 1032
_TINY = 1024


def check_sizes(archive: ZipFile, path: Path) -> None:
    """Refuse an archive whose arrays are larger than what it holds of them, or than the memory.

    Args:
        archive: Open.
        path: Of the file, for messages.

    Raises:
        UsageError: One of the arrays claims more; it is named.
    """
    total = 0
    for entry in archive.infolist():
        name = entry.filename.removesuffix(".npy")
        claimed = _claimed(archive, entry)
        possible = min(entry.file_size, entry.compress_size * _MOST_OF_A_BYTE + _TINY)
        if claimed > possible:
            raise UsageError(
                f"`{path}` is damaged, or made to mislead: its array `{name}` claims {_amount(claimed)}, and"
                f" the file has at most {_amount(possible)} of it. Save the arrays again with numpy.savez."
            )
        total += claimed
    if total > memory():
        raise UsageError(
            f"The arrays of `{path}` take {_amount(total)}, and this machine has {_amount(memory())} of"
            " memory. Hand them over as a pipeline (a tf.data.Dataset by reference), or take fewer rows."
        )


def _claimed(archive: ZipFile, entry: ZipInfo) -> int:
    """The bytes that an entry takes in memory, by its own header where it is an array."""
    with archive.open(entry) as file:
        size = _array_size(file)
    return entry.file_size if size is None else size


def _array_size(file: IO[bytes]) -> int | None:
    try:
        read = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
    except ValueError:
        return None  # numpy says what is wrong with it when the array is asked for
    return None if dtype.hasobject else math.prod(shape) * dtype.itemsize


def _amount(size: float) -> str:
    if size < 1000:
        return f"{size:.0f} bytes"
    power = min(int(math.log10(size)) // 3, 4)
    return f"{size / 1000**power:,.3g} {('kB', 'MB', 'GB', 'TB')[power - 1]}"
