"""The weights digest: equal digests mean equal bits."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np


def weights_digest(model: Any) -> str:
    """SHA-256 over the bytes of `model.variables` in order.

    Layers' weights and other state (batch-norm statistics, seed generators) count; the optimizer's and
    the metrics' variables do not.

    Args:
        model: A built `keras.Model`.

    Returns:
        64 hexadecimal digits.
    """
    import keras

    digest = hashlib.sha256()
    for variable in model.variables:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(variable)).tobytes())
    return digest.hexdigest()
