"""What deviations do with the optimizer of a run."""

from __future__ import annotations

from typing import Any

import keras

from kerasx.parity.reference.deviation import At


def step_with(made: Any, at: At) -> None:
    """Have another optimizer step in this run, with the loss scaling of the one before."""
    own = at.model.optimizer
    if isinstance(own, keras.optimizers.LossScaleOptimizer):
        made = keras.optimizers.LossScaleOptimizer(
            made, initial_scale=own.initial_scale, dynamic_growth_steps=own.dynamic_growth_steps
        )
    made.build(at.model.trainable_variables)
    at.model.optimizer = made
    at.memory.setdefault("undo", []).append(lambda: setattr(at.model, "optimizer", own))


def inner_of(optimizer: Any) -> Any:
    """The optimizer that steps, which one that scales losses wraps."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def scale_of(optimizer: Any) -> float:
    """What an optimizer multiplies the loss by; 1 where it does not."""
    scale = getattr(optimizer, "dynamic_scale", None)
    return 1.0 if scale is None else float(keras.ops.convert_to_numpy(scale))
