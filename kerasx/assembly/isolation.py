"""What a run changes in the process, put back when it ends."""

from __future__ import annotations

import contextlib
import logging
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state

from kerasx.assembly.reductions import without_single_reductions
from kerasx.assembly.stacks import shared_stacks
from kerasx.errors import UsageError, suggestion
from kerasx.garbage import collect_garbage
from kerasx.own_modules import own_modules, put_back

_KERAS_RANDOM = ("global_random_seed", "global_seed_generator")
POLICIES = ("float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")


# Seeds and policy are the process's: a run in another thread waits until this one has ended.
_ONE_AT_A_TIME = threading.RLock()
_depth = 0


def is_nested() -> bool:
    """Whether a run is within another, as one that a callback starts."""
    return _depth > 1


@contextlib.contextmanager
def isolated(seed: int, precision: str | None = None, *, afresh: bool = False) -> Iterator[None]:
    """Seed the process's random streams and set the dtype policy for one run; put all back afterwards.

    Keras draws the seeds of initializers and of dropout from Python's `random`; user code may draw from
    NumPy's, TensorFlow's and Keras's. TensorFlow's stream begins anew, as its position is unknown.
    `sys.path` is put back too, to which references by path add their folder, and what was imported from
    there is forgotten.

    Args:
        seed: Of the experiment.
        precision: A Keras dtype policy, or None to leave the process's.
        afresh: Whether modules of the user's own code are loaded anew, see `References`, and so have to be
            forgotten, and those of the program around to be put back.

    Raises:
        UsageError: Keras does not know the policy.
    """
    global _depth
    with _ONE_AT_A_TIME, without_single_reductions(), shared_stacks():
        _depth += 1
        if not is_nested():
            collect_garbage()
        try:
            yield from _isolated(seed, precision, afresh)
        finally:
            _depth -= 1


def _isolated(seed: int, precision: str | None, afresh: bool) -> Iterator[None]:
    policy = keras.config.dtype_policy()
    python_state, numpy_state = random.getstate(), np.random.get_state()
    tensorflow_seed = _tensorflow_seed()
    path, modules = list(sys.path), set(sys.modules)
    own, registered = own_modules() if afresh else {}, dict(keras.saving.get_custom_objects())
    keras_random = _keras_random_state()
    settings = _settings()
    tf.get_logger().addFilter(_is_no_false_alarm)
    try:
        keras.utils.set_random_seed(seed)
        if precision is not None:
            _set_policy(precision)
        yield
    finally:
        tf.get_logger().removeFilter(_is_no_false_alarm)
        _put_back_settings(settings)
        keras.config.set_dtype_policy(policy)
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        tf.random.set_seed(tensorflow_seed)
        _put_back_keras_random_state(keras_random)
        _forget_modules(set(sys.path) - set(path), set(sys.modules) - modules)
        sys.path[:] = path
        if afresh:
            put_back(own)
            # A class that was registered again as its module was loaded anew is not the program's own.
            keras.saving.get_custom_objects().update(registered)


def _settings() -> tuple[Any, ...]:
    """What code of users may set for the whole process as it is loaded."""
    return (
        keras.config.epsilon(),
        keras.config.floatx(),
        keras.config.image_data_format(),
        keras.config.is_traceback_filtering_enabled(),
        tf.config.functions_run_eagerly(),
    )


def _put_back_settings(settings: tuple[Any, ...]) -> None:
    epsilon, floatx, data_format, filters, runs_eagerly = settings
    keras.config.set_epsilon(epsilon)
    keras.config.set_floatx(floatx)
    keras.config.set_image_data_format(data_format)
    if filters:
        keras.config.enable_traceback_filtering()
    else:
        keras.config.disable_traceback_filtering()
    if tf.config.functions_run_eagerly() != runs_eagerly:
        tf.config.run_functions_eagerly(runs_eagerly)


def _is_no_false_alarm(record: logging.LogRecord) -> bool:
    """Leave out that a step is traced too often: each run traces its own, at one line of the same file."""
    steps = (
        "multi_step_on_iterator",
        "one_step_on_iterator",
        "one_step_on_data",
        "single_step",
        "fused_step",
        "fused_loop",
    )
    message = record.getMessage()
    return "triggered tf.function retracing" not in message or not any(step in message for step in steps)


def _forget_modules(folders: set[str], loaded: set[str]) -> None:
    """Let the next run import its own `helper.py`, not that of this run's folder.

    Args:
        folders: Those that references added to the path.
        loaded: What was imported meanwhile, which may be TensorFlow out of a `.venv` in such a folder.
    """
    for name in loaded:
        file = getattr(sys.modules.get(name), "__file__", None)
        if (
            file is not None
            and "site-packages" not in file
            and any(Path(file).is_relative_to(folder) for folder in folders)
        ):
            del sys.modules[name]


def _keras_random_state() -> dict[str, Any]:
    """Keras's process-wide seed and generator, which unseeded `keras.random` functions draw from.

    They can be set in public (`keras.utils.set_random_seed`), but not read or put back: hence Keras's
    private store of global attributes, here and in the function below only.
    """
    return {name: global_state.get_global_attribute(name) for name in _KERAS_RANDOM}


def _put_back_keras_random_state(state: dict[str, Any]) -> None:
    for name, value in state.items():
        global_state.set_global_attribute(name, value)


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
