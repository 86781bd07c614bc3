"""Training through Keras's own `fit`."""

from __future__ import annotations

from kerasx.plain import plain_value
from kerasx.training.task import TrainingTask


def run_fit(task: TrainingTask) -> dict[str, list[float]]:
    """Call the model's `fit` once, for all epochs of the task.

    Returns:
        The history by name, epoch by epoch.
    """
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
