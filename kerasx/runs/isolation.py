"""What a run changes in the process, put back when it ends."""

from __future__ import annotations

import contextlib
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerasx.errors import UsageError, suggestion

POLICIES = ("float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")


# Seeds and policy are the process's: a run in another thread waits until this one has ended.
_ONE_AT_A_TIME = threading.RLock()


@contextlib.contextmanager
def isolated(seed: int, precision: str | None = None) -> Iterator[None]:
    """Seed the process's random streams and set the dtype policy for one run; put all back afterwards.

    Keras draws the seeds of initializers and of dropout from Python's `random`; user code may draw from
    NumPy's and TensorFlow's. `sys.path` is put back too, to which references by path add
    their folder, and what was imported from there is forgotten.

    Args:
        seed: Of the experiment.
        precision: A Keras dtype policy, or None to leave the process's.

    Raises:
        UsageError: Keras does not know the policy.
    """
    with _ONE_AT_A_TIME:
        yield from _isolated(seed, precision)


def _isolated(seed: int, precision: str | None) -> Iterator[None]:
    policy = keras.config.dtype_policy()
    python_state, numpy_state = random.getstate(), np.random.get_state()
    tensorflow_seed = _tensorflow_seed()
    path = list(sys.path)
    try:
        random.seed(seed)
        np.random.seed(seed)
        tf.random.set_seed(seed)
        if precision is not None:
            _set_policy(precision)
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        tf.random.set_seed(tensorflow_seed)
        _forget_modules(set(sys.path) - set(path))
        sys.path[:] = path


def _forget_modules(folders: set[str]) -> None:
    """Let the next run import its own `helper.py`, not that of this run's folder."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None and any(Path(file).is_relative_to(folder) for folder in folders):
            del sys.modules[name]


def _set_policy(precision: str) -> None:
    try:
        keras.config.set_dtype_policy(precision)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"Keras has no dtype policy `{precision}`. {suggestion(precision, POLICIES, what='policies')}"
        ) from error


def _tensorflow_seed() -> int | None:
    """TensorFlow's global seed; None where none is set.

    With an operation seed of its own the public look-up draws nothing. Without a global seed it answers
    with TensorFlow's default graph seed, which is therefore taken for none.
    """
    default_graph_seed = 87654321
    seed, _ = tf.compat.v1.get_seed(1)
    return None if seed == default_graph_seed else int(seed)
