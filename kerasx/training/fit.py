"""Training through Keras's own `fit`."""

from __future__ import annotations

import warnings

from kerasx.plain import plain_value
from kerasx.training.task import TrainingTask


def run_fit(task: TrainingTask) -> dict[str, list[float]]:
    """Call the model's `fit` once, for all epochs of the task.

    Returns:
        The history by name, epoch by epoch.
    """
    with warnings.catch_warnings():
        if task.batches.steps is None:
            # Keras takes the end of a pipeline that does not tell its length for a lack of data.
            warnings.filterwarnings("ignore", message=r"\s*Your input ran out of data")
        history = task.model.fit(
            task.batches.dataset,
            epochs=task.epochs,
            initial_epoch=task.initial_epoch,
            callbacks=task.callback_list(),
            validation_data=None if task.validation is None else task.validation.dataset,
            # The batches come in the order of the experiment; asked to shuffle them, Keras only warns.
            shuffle=False,
            verbose=0,
        )
    return {name: [plain_value(value) for value in values] for name, values in history.history.items()}
