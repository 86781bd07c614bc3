"""Says of steps that draw random numbers from where no experiment's seed reaches in every execution."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from kerasx.parity.first_steps import take_steps
from kerasx.parity.judge import differences
from kerasx.parity.sides import Named
from kerasx.registry import Registry

_STREAMS: tuple[tuple[str, Callable[[int], None]], ...] = (
    ("TensorFlow's own stream, which is another one in a graph", tf.random.set_seed),
    ("NumPy's stream, of which a graph draws once, as it is made", np.random.seed),
)


def strange_streams(side: Named, registry: Registry) -> list[str]:
    """The streams that a side's steps draw from beside those of Keras's layers, which are part of the state.

    Its first steps are taken again from the same states, with one stream begun elsewhere.

    Args:
        side: Whose steps are taken, eagerly.
        registry: The engine's plugins.
    """
    side = side.eager
    leader = take_steps(side, registry, observes=False, epochs=1)

    def differs(seed: Callable[[int], None] | None) -> bool:
        again = take_steps(
            side,
            registry,
            observes=False,
            states=leader.states,
            epochs=1,
            begins=lambda: None if seed is None else seed(side.experiment.seed + 1),
        )
        return bool(differences(leader.trace, again.trace))

    if not leader.has_training or differs(None):
        return []
    return [name for name, seed in _STREAMS if differs(seed)]
