"""For the tests of those who write steps of their own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kerasx.startup import start_tensorflow

if TYPE_CHECKING:
    from kerasx.parity.explain.finding import Explanation


def assert_matches_fit(model: Any, step: Any, batches: Any, *, epochs: int = 2) -> Explanation:
    """Assert that a step trains a model, and reports it, as Keras's `fit` does.

    The model is trained from its weights in the first steps of each epoch, and left as it was.

    Args:
        model: A compiled `keras.Model`, with optimizer, loss and metrics.
        step: A step `(model, data)`, a loop over one epoch `(model, batches)` or a `StepStrategy`; None for
            the model's own `train_step`.
        batches: A `tf.data.Dataset`, a `PyDataset` or a sequence of batches, each `(x, y)` or
            `(x, y, sample_weight)`; the same in each epoch.
        epochs: How many.

    Returns:
        What was found, where they agree.

    Raises:
        AssertionError: They differ; its text explains why.
        UsageError: The model is not compiled, the batches are none, or code raises.

    Example:
        def test_my_step():
            kerasx.testing.assert_matches_fit(model, my_step, [(x[:32], y[:32]), (x[32:40], y[32:40])])
    """
    start_tensorflow()
    from kerasx.engine import Engine
    from kerasx.errors import UsageError
    from kerasx.references import exits_are_errors

    if not getattr(model, "compiled", False):
        raise UsageError("The model is not compiled: `fit` needs an optimizer and a loss.")
    _refuse_others(batches)
    data = _of_batches(batches) if isinstance(batches, Sequence) else batches
    with _metrics_kept(model), exits_are_errors("tracing the step"):
        found = Engine().explain(
            "custom-step" if step is None else step,
            model=model,
            dataset=data,
            epochs=epochs,
            execution="eager",
            jit=False,
        )
    if not found.agrees:
        raise AssertionError(found.text)
    return found


def _refuse_others(batches: Any) -> None:
    """Refuse what hands out no batches, or hands them out once."""
    from kerasx.errors import UsageError

    if isinstance(batches, Iterator):
        raise UsageError(
            f"The batches are {type(batches).__name__}, which hands them out once, and they are taken several"
            " times. Give them as a list: `list(batches)`."
        )
    if not isinstance(batches, Sequence):
        return
    if not batches:
        raise UsageError("There is no batch: give at least one, `(x, y)`.")
    for number, batch in enumerate(batches):
        if not isinstance(batch, tuple | list) or not 1 <= len(batch) <= 3:
            raise UsageError(
                f"Batch {number} is {type(batch).__name__}, not `(x, y)` or `(x, y, sample_weight)`. For all"
                " rows in one batch, give `[(x, y)]`."
            )


@contextlib.contextmanager
def _metrics_kept(model: Any) -> Iterator[None]:
    """Put what a model's metrics have counted back; those that were not built before have counted nothing."""
    import keras

    before = [(variable, keras.ops.copy(variable)) for variable in model.metrics_variables]
    try:
        yield
    finally:
        keras.Model.reset_metrics(model)
        for variable, value in before:
            variable.assign(value)


def _of_batches(batches: Sequence[Any]) -> Any:
    """Batches as a pipeline that hands them out as they are."""
    import keras

    class _Batches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, index: int) -> Any:
            return batches[index]

    return _Batches()
