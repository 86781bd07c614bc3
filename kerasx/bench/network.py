"""The network that the programs without TensorFlow know, and the file by which they get it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasx.assembly.assemble import Assembly
from kerasx.assembly.model import policy_of
from kerasx.builtins.losses import SumSquaredError
from kerasx.data.arrays import Arrays
from kerasx.data.dataset import Dataset
from kerasx.errors import UsageError


def arrays_of(dataset: Dataset) -> tuple[Arrays, Arrays | None]:
    """The rows to train on and those to validate on.

    Raises:
        UsageError: They come from a pipeline.
    """
    rows, validation = dataset.train, dataset.validation
    if not isinstance(rows, Arrays) or not (validation is None or isinstance(validation, Arrays)):
        raise UsageError("This program trains on arrays, and the data is a pipeline.")
    return rows, validation


def plain_layers(assembly: Assembly) -> list[Any] | None:
    """The dense layers of a network that JAX's and PyTorch's programs know; None for any other."""
    model, optimizer = assembly.task.model, assembly.task.optimizer
    if policy_of(model) != "float32":
        return None
    is_descent = type(optimizer) is keras.optimizers.SGD and not optimizer.momentum
    if not isinstance(model, keras.Sequential) or not is_descent or optimizer.weight_decay:
        return None
    if not isinstance(model.loss, SumSquaredError) or not isinstance(assembly.dataset.train, Arrays):
        return None
    if not isinstance(assembly.dataset.validation, Arrays) or assembly.dataset.train.has_weights:
        return None
    flatten, *layers = model.layers
    activations = [getattr(layer, "activation", None) for layer in layers]
    relu, linear = keras.activations.relu, keras.activations.linear
    is_plain = isinstance(flatten, keras.layers.Flatten) and all(
        type(layer) is keras.layers.Dense for layer in layers
    )
    return layers if is_plain and activations == [relu] * (len(layers) - 1) + [linear] else None


def write_plain_network(assembly: Assembly, layers: list[Any], path: Path) -> None:
    """Write the data, one-hot, and the initial weights for them."""

    def one_hot(labels: Any) -> Any:
        return np.eye(layers[-1].units, dtype=np.float32)[labels] if labels.ndim == 1 else labels

    rows, validation = arrays_of(assembly.dataset)
    assert validation is not None
    arrays = {
        "x_train": rows.x.reshape(rows.rows, -1),
        "y_train": one_hot(rows.y),
        "x_test": validation.x.reshape(validation.rows, -1),
        "y_test": one_hot(validation.y),
        "batch_size": assembly.experiment.batch_size,
        "rate": float(assembly.task.optimizer.learning_rate),
    }
    for number, layer in enumerate(layers):
        kernel, bias = layer.get_weights()
        arrays |= {f"kernel_{number}": kernel, f"bias_{number}": bias}
    np.savez(path, **arrays)
