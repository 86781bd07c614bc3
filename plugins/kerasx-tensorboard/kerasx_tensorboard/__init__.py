"""The callback `tensorboard`: logs in the run directory."""

from __future__ import annotations

from kerasx import CallbackSpec, hookimpl


@hookimpl
def kerasx_callbacks() -> list[CallbackSpec]:
    """The one callback of this plugin."""
    return [
        CallbackSpec(
            "tensorboard",
            "Scalars, graph and weight histograms for TensorBoard, in the run directory.",
            "kerasx_tensorboard.callback:tensorboard",
        )
    ]
