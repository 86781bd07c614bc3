"""The strategy `gradient-tape`: an explicit loop around a step with a GradientTape."""

from __future__ import annotations

from kerasx import StrategySpec, hookimpl


@hookimpl
def kerasx_strategies() -> list[StrategySpec]:
    """The one strategy of this plugin."""
    return [
        StrategySpec(
            "gradient-tape",
            "An explicit loop over batches around a step with a GradientTape.",
            "kerasx_gradient_tape.strategy:GradientTapeStrategy",
        )
    ]
