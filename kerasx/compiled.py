"""What XLA has compiled in this process: it is let go of, and there has to be room for more."""

from __future__ import annotations

import contextlib
import functools
import gc
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from kerasx.errors import UsageError

# The compiler of a device, as TensorFlow 2.21 keeps it: a resource under this name and the hash of its C++
# class (`DeviceCompiler<xla::LocalExecutable, xla::LocalClient>`, in tensorflow/compiler/jit).
_COMPILER, _CLASS = "xla_device_compiler", 0x6B406BD7CBE180FF

_has_compiled = False

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


def drop_compiled() -> None:
    """Have TensorFlow let go of what XLA has compiled; a function that is called again is compiled again.

    TensorFlow would keep it as long as the process lives, which for a small training is 500 memory mappings
    and 18 MB, and has no function for this. But its compilers are resources, as variables are, which public
    operations destroy. Where another version calls them otherwise nothing is destroyed.

    Nothing is while what would be freed may be executed: by another thread, by a `tf.data` pipeline that
    reads ahead in threads of TensorFlow's own, or asynchronously. Nor at first, when kerasx has compiled
    nothing yet.
    """
    import tensorflow as tf

    global _has_compiled
    if not _has_compiled:
        _has_compiled = True
        return
    if not tf.config.experimental.get_synchronous_execution() or _has_iterators():
        return
    for device in tf.config.list_logical_devices("CPU"):  # others may be behind with what they were told
        with tf.init_scope(), tf.device(device.name), contextlib.suppress(tf.errors.OpError):
            written = tf.make_tensor_proto(0)
            written.Clear()
            written.dtype = tf.resource.as_datatype_enum
            written.resource_handle_val.add(
                device=tf.constant(0).device, container="localhost", name=_COMPILER, hash_code=_CLASS
            )
            handle = tf.io.parse_tensor(written.SerializeToString(), tf.resource)
            if _is_alone():
                tf.raw_ops.DestroyResourceOp(resource=handle, ignore_lookup_error=True)


def _is_alone() -> bool:
    """Whether all other threads wait, and none for TensorFlow; perhaps once they have done what they do."""
    for _ in range(10):
        before = _others()
        if not before:
            return before is not None
        time.sleep(0.01)
        if _others() == before:
            return True
    return False


def _has_iterators() -> bool:
    """Whether there is an iterator of `tf.data`; those that are garbage are gone afterwards."""
    for _ in range(2):
        kinds = {type(each) for each in gc.get_objects()}
        if not any(k.__name__.endswith("Iterator") and k.__module__.startswith("tensorflow.") for k in kinds):
            return False
        gc.collect()
    return True


def _others() -> dict[int, tuple[int, int]] | None:
    """At which frame and instruction each other thread is; None where one is within TensorFlow."""
    found = {}
    for thread, frame in sys._current_frames().items():
        if thread == threading.get_ident():
            continue
        found[thread] = (id(frame), frame.f_lasti)
        outer: FrameType | None = frame
        while outer is not None:
            if outer.f_globals.get("__name__", "").startswith("tensorflow."):
                return None
            outer = outer.f_back
    return found
