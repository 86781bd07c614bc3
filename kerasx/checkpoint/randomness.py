"""The random streams of the process that code of users may draw from, read and set.

Keras's own is a variable, and kept with the variables.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import tensorflow as tf

from kerasx.checkpoint.packing import Arrays, packed, unpacked


def random_state(arrays: Arrays) -> dict[str, Any]:
    """Where Python's, NumPy's and TensorFlow's global generators are."""
    return {
        "python": packed(random.getstate(), "random.python", arrays),
        "numpy": packed(np.random.get_state(), "random.numpy", arrays),
        "tensorflow": packed(tf.random.get_global_generator().state.numpy(), "random.tensorflow", arrays),
    }


def set_random_state(state: dict[str, Any], arrays: Arrays) -> None:
    """Put the generators back."""
    random.setstate(unpacked(state["python"], arrays))
    np.random.set_state(unpacked(state["numpy"], arrays))
    tf.random.get_global_generator().state.assign(unpacked(state["tensorflow"], arrays))
