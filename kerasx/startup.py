"""Imports TensorFlow and Keras without their start-up noise, with the backend kerasx needs."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import sys
import tempfile
from collections.abc import Iterator

from kerasx.compiled import check_mappings
from kerasx.errors import UsageError

BACKEND = "tensorflow"


def start_tensorflow() -> None:
    """Import Keras on TensorFlow, once; what they print while starting is dropped.

    TensorFlow writes to file descriptor 2 from C++ before any logging level applies, so the descriptor
    is redirected while it is imported. If the import fails, what was written is shown after all.

    Raises:
        UsageError: Keras is set to another backend, or TensorFlow or Keras cannot be imported.
    """
    if "keras" not in sys.modules:
        asked = os.environ.get("KERAS_BACKEND") or BACKEND  # Keras passes over an empty one
        if asked != BACKEND:
            raise UsageError(
                f"KERAS_BACKEND is set to `{asked}`, and kerasx runs on TensorFlow."
                f" Unset it, or set KERAS_BACKEND={BACKEND}."
            )
        # A ~/.keras/keras.json may name another backend; the environment goes before it.
        os.environ["KERAS_BACKEND"] = BACKEND
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        try:
            with _quiet_descriptor(), _without_collections():
                import keras
                import tensorflow  # noqa: F401
        except ImportError as error:
            raise UsageError(f"TensorFlow or Keras cannot be imported: {error}") from error
    import keras

    if keras.backend.backend() != BACKEND:
        raise UsageError(
            f"Keras was imported with the backend `{keras.backend.backend()}`, and kerasx runs on TensorFlow."
            f" Set KERAS_BACKEND={BACKEND} before Keras is imported."
        )


def start_xla() -> None:
    """Get ready to compile.

    Raises:
        UsageError: This process has compiled as much as it can.
    """
    check_mappings()
    _first_compilation()


@functools.cache
def _first_compilation() -> None:
    """Have XLA compile something small; what TensorFlow prints at a first compilation is dropped.

    Starting the compiler is most of what this takes, and the step to be compiled would pay it otherwise.
    """
    import tensorflow as tf

    with _quiet_descriptor():
        tf.function(lambda value: value + 1.0, jit_compile=True)(tf.constant(0.0))


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Keep the garbage collector from going through what is being imported, again and again.

    That is a fifth of what importing TensorFlow takes. What there is afterwards is there to stay, and is
    left out of later collections too: the first would otherwise take what was saved.
    """
    if not gc.isenabled() or "tensorflow" in sys.modules:
        yield  # what there is may go again
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextlib.contextmanager
def _quiet_descriptor() -> Iterator[None]:
    """Drop what is written to file descriptor 2; show it if an exception passes through."""
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # there is no descriptor 2 to keep quiet
        yield
        return
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield
        except Exception:
            captured.seek(0)
            os.write(saved, captured.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
