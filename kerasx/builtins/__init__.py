"""What the core itself offers, registered through the same hooks as any plugin's."""

from __future__ import annotations

from kerasx.hookspecs import hookimpl
from kerasx.specs import LossSpec, MetricSpec, ModelSpec


@hookimpl
def kerasx_models() -> list[ModelSpec]:
    """The article's network."""
    return [
        ModelSpec(
            "mlp",
            "Flatten and dense layers: 256 and 128 relu units, then one output per class.",
            "kerasx.builtins.models:mlp",
        )
    ]


@hookimpl
def kerasx_losses() -> list[LossSpec]:
    """The article's loss."""
    return [
        LossSpec(
            "sum-squared-error",
            "Squared error summed over the outputs, averaged over the rows; integer or one-hot labels.",
            "kerasx.builtins.losses:SumSquaredError",
        )
    ]


@hookimpl
def kerasx_metrics() -> list[MetricSpec]:
    """An accuracy that says which meter it became."""
    return [
        MetricSpec(
            "accuracy",
            "Binary, categorical or sparse categorical accuracy: chosen from labels and outputs, and said.",
            "kerasx.builtins.metrics:accuracy",
        )
    ]
