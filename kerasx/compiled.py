"""What XLA has compiled in this process: it is let go of, and there has to be room for more."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from pathlib import Path

from kerasx.errors import UsageError

# The compiler of a device, as TensorFlow 2.21 keeps it: a resource under this name and the hash of its C++
# class (`DeviceCompiler<xla::LocalExecutable, xla::LocalClient>`, in tensorflow/compiler/jit).
_COMPILER, _CLASS = "xla_device_compiler", 0x6B406BD7CBE180FF

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

    Nothing is while another thread is within TensorFlow, which may be executing what would be freed.
    """
    import tensorflow as tf

    if _is_used_elsewhere():
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
            tf.raw_ops.DestroyResourceOp(resource=handle, ignore_lookup_error=True)


def _is_used_elsewhere() -> bool:
    """Whether another thread is within TensorFlow."""
    here = threading.get_ident()
    for thread, innermost in sys._current_frames().items():
        frame = innermost if thread != here else None
        while frame is not None:
            if frame.f_globals.get("__name__", "").startswith("tensorflow."):
                return True
            frame = frame.f_back
    return False
