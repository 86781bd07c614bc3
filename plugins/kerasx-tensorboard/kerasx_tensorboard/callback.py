"""Keras's TensorBoard callback, writing where the run keeps its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras


def tensorboard(
    run_directory: Path,
    histogram_freq: int = 1,
    write_graph: bool = True,
    write_images: bool = False,
    update_freq: int | str = "epoch",
    profile_batch: Any = 0,
) -> keras.callbacks.Callback:
    """Log to `tensorboard/` in the run directory.

    Args:
        run_directory: Of the run.
        histogram_freq: Weight histograms every so many epochs; 0 for none.
        write_graph: Whether to log the graph of the step.
        write_images: Whether to log weights as images.
        update_freq: `epoch`, `batch`, or every so many batches.
        profile_batch: Batches to profile; 0 for none.
    """
    return keras.callbacks.TensorBoard(
        log_dir=str(run_directory / "tensorboard"),
        histogram_freq=histogram_freq,
        write_graph=write_graph,
        write_images=write_images,
        update_freq=update_freq,
        profile_batch=profile_batch,
    )
