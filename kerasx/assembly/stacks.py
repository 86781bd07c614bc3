"""Python stacks of operations, held once for all that were made at the same place."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from tensorflow.python.util import tf_stack

import kerasx

_PACKAGE = f"{Path(kerasx.__file__).parent}{os.sep}"
# Of some 5 kB each.
_MOST = 20_000

_shared: dict[tuple[Any, ...], Any] = {}
_is_sharing = False


@contextlib.contextmanager
def shared_stacks() -> Iterator[None]:
    """Have operations that are made at the same place, under the same calls, hold one and the same stack.

    TensorFlow notes where each operation is made, 5 kB of it once it is looked at, and never lets go of the
    graphs that XLA has compiled, of which that is most: 6 MB of a small training. Of the calls, those of the
    program around kerasx are left out, so that trainings that it begins at several places share as well.

    What TensorFlow calls for it is no public name.
    """
    global _is_sharing
    if _is_sharing:  # by a run around this one
        yield
        return
    original = tf_stack.extract_stack
    thread, calls_around = threading.get_ident(), _calls_around()

    def extract_stack(stacklevel: int = 1) -> Any:
        frame: FrameType | None = sys._getframe(1)
        place: list[Any] = [stacklevel]
        while frame is not None:
            # Code is equal to that of another file which says the same.
            place += (frame.f_code, frame.f_code.co_filename, frame.f_lasti)
            frame = frame.f_back
        around = calls_around if threading.get_ident() == thread else 0
        if 3 * around >= len(place):  # not of this run: a stack of another kind in its thread
            return original(stacklevel + 1)
        key = tuple(place[: len(place) - 3 * around])
        if (stack := _shared.get(key)) is None:
            if len(_shared) >= _MOST:
                _shared.clear()
            stack = _shared[key] = original(stacklevel + 1)[around:]
        return stack

    tf_stack.extract_stack = extract_stack
    _is_sharing = True
    try:
        yield
    finally:
        tf_stack.extract_stack = original
        _is_sharing = False


def _calls_around() -> int:
    """How many calls are around the first of kerasx."""
    frame: FrameType | None = sys._getframe()
    calls, of_kerasx = 0, 0
    while frame is not None:
        calls += 1
        if frame.f_code.co_filename.startswith(_PACKAGE):
            of_kerasx = calls
        frame = frame.f_back
    return calls - of_kerasx
