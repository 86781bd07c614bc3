"""Memory mappings of this process, of which what XLA compiles takes many."""

from __future__ import annotations

import functools
from pathlib import Path

from kerasx.errors import UsageError

# Of those that Linux allows: the rest is for what is about to be compiled.
_SHARE = 5 / 6


def check_mappings() -> None:
    """See that there is room for compiling more.

    XLA maps three pieces of memory for each of its kernels, some 500 for a small training, and TensorFlow
    keeps them as long as the process lives. Where Linux grants no more, the process would end with SIGSEGV.

    Raises:
        UsageError: There is little room left.
    """
    try:
        limit = int(Path("/proc/sys/vm/max_map_count").read_text())
        with open("/proc/self/maps", "rb") as file:
            count = sum(chunk.count(b"\n") for chunk in iter(functools.partial(file.read, 1 << 20), b""))
    except (OSError, ValueError):  # not on Linux
        return
    if count > _SHARE * limit:
        raise UsageError(
            f"This process holds {count} memory mappings of the {limit} that Linux allows (vm.max_map_count),"
            " most of them probably of what XLA has compiled, which TensorFlow keeps as long as the process"
            " lives. Train in a new process or without jit, or have vm.max_map_count raised."
        )
