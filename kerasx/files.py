"""Writes files so that a kill at any moment leaves either the old or the new one."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# What the system says where there is no room, or where what there is cannot be used.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in its place.

    Args:
        path: The file.
        write: Called with a path of the same ending in the same folder.

    Raises:
        OSError: It cannot be written, with `path` as its file name.
    """
    with _named(path):
        _replace(path, write)


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-", suffix="".join(path.suffixes))
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Replace a text file."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file."""
    write_text(path, to_json(value, indent=2) + "\n")


def append_line(path: Path, line: str) -> None:
    """Add one line in a single write, so that a kill leaves it out or in.

    Raises:
        OSError: It cannot be written whole, and was left out.
    """
    data = (line + "\n").encode()
    with _named(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            before = os.fstat(descriptor).st_size
            if os.write(descriptor, data) < len(data):
                os.ftruncate(descriptor, before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)


def overwrite_text(path: Path, text: str) -> None:
    """Write over a text file, for where there is no room for a second one beside it; a kill may damage it.

    Raises:
        OSError: There is not even room for what it grows by; it is as it was.
    """
    with _named(path), open(path, "r+b", buffering=0) as file:
        before = file.read()
        data = text.encode()
        try:
            _write_all(file.fileno(), data)
        except OSError:
            _write_all(file.fileno(), before)
            raise
        file.truncate(len(data))


def _write_all(descriptor: int, data: bytes) -> None:
    """Write to a file from its beginning."""
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, data[done:], done)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Have errors of the system name a file, and not the temporary one beside it, or none."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def to_json(value: Any, *, indent: int | None = None) -> str:
    """JSON as its standard has it: numbers that are not finite become null."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False, default=str)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
