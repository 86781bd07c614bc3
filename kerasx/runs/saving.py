"""Keeps the trained model in the run directory, whole where Keras can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kerasx.files import replace_file
from kerasx.runs.directory import MODEL, WEIGHTS


def save_model(model: Any, folder: Path) -> str | None:
    """Save the model as `model.keras`, or its weights where it cannot be saved whole.

    Returns:
        What has to be said about it; None when it was saved whole.
    """
    try:
        replace_file(folder / MODEL, model.save)
    except Exception as error:  # whatever a user's `get_config` raises
        replace_file(folder / WEIGHTS, model.save_weights)
        return (
            f"the model cannot be saved whole ({type(error).__name__}), so its weights are kept in {WEIGHTS}"
            " and it is rebuilt from its reference"
        )
    return None
