"""The data set `mnist`, whose files are inside this package."""

from __future__ import annotations

from kerasx import DatasetSpec, hookimpl


@hookimpl
def kerasx_datasets() -> list[DatasetSpec]:
    """The one data set of this plugin."""
    return [
        DatasetSpec(
            "mnist",
            "60,000 + 10,000 handwritten digits, 28 x 28, values 0 to 1; integer labels.",
            "kerasx_mnist.data:mnist",
            plain=True,
        )
    ]
