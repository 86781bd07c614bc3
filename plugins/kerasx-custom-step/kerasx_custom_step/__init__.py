"""The strategy `custom-step`: `fit` with its `train_step` replaced."""

from __future__ import annotations

from kerasx import StrategySpec, hookimpl


@hookimpl
def kerasx_strategies() -> list[StrategySpec]:
    """The one strategy of this plugin."""
    return [
        StrategySpec(
            "custom-step",
            "Keras's fit with its train_step replaced, by kerasx's own or by a function you name.",
            "kerasx_custom_step.strategy:CustomStepStrategy",
        )
    ]
