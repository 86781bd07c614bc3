"""The strategy `compiled-fit`: Keras's own `fit`, nothing replaced."""

from __future__ import annotations

from kerasx import StrategySpec, hookimpl


@hookimpl
def kerasx_strategies() -> list[StrategySpec]:
    """The one strategy of this plugin."""
    return [
        StrategySpec(
            "compiled-fit",
            "Keras's own compiled fit, with nothing replaced.",
            "kerasx_compiled_fit.strategy:CompiledFitStrategy",
        )
    ]
