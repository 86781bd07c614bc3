"""What made the article's rows 2, 7, 9 and 10 different, measured on the trained model."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kerasx.article.parts import (
    BATCH_SIZE,
    mean_of_row_mse,
    mnist,
    named_raw_loss_test_step,
    sum_over_batch_size,
)

if TYPE_CHECKING:
    from kerasx.runs.result import Run

Measured = dict[str, Any]


def averaged_over_outputs(run: Run, _: Mapping[str, Run]) -> tuple[str, Measured]:
    """Row 2: the ratio of the two losses, on one batch with one set of weights."""
    x, y = next(iter(mnist()[1]))
    outputs = run.model(x, training=False)
    ratio = float(sum_over_batch_size(y, outputs) / mean_of_row_mse(y, outputs))
    return (
        f"Keras's mse averages over the outputs: on the same batch and weights the sum of squares is"
        f" {ratio:.3f} times larger, and so is every gradient. With SGD a learning rate {ratio:.0f} times"
        " larger makes up for it (row 3).",
        {"loss_ratio": ratio},
    )


def wrong_meter(run: Run, _: Mapping[str, Run]) -> tuple[str, Measured]:
    """Row 7: what the string 'accuracy' became, beside the meter that fits."""
    metrics = [each for metric in run.model.metrics for each in getattr(metric, "metrics", [metric])]
    meter = next(type(metric).__name__ for metric in metrics if metric.name == "accuracy")
    reported, true = run.evaluation["accuracy"], run.evaluation["true_accuracy"]
    return (
        f"'accuracy' became {meter}: it takes the labels of a batch for one one-hot row, and counts one"
        f" sample a batch, whose largest label and largest prediction it compares by place."
        f" It reports {reported:.2%} where the predictions are right for {true:.2%}.",
        {"meter": meter},
    )


def last_batch_reported(run: Run, _: Mapping[str, Run]) -> tuple[str, Measured]:
    """Row 9: what validation reports under either name, and the loss over all rows."""
    model, validation = run.model, mnist()[1]
    model.test_step = functools.partial(named_raw_loss_test_step, model)
    try:
        model.make_test_function(force=True)
        reported = float(model.evaluate(validation, verbose=0, return_dict=True)["raw_loss"])
    finally:
        del model.test_step
        model.make_test_function(force=True)
    total, rows = 0.0, 0
    for x, y in validation:
        last, rows_of_last = float(sum_over_batch_size(y, model(x, training=False))), len(y)
        total, rows = total + last * BATCH_SIZE, rows + rows_of_last
    true = total / rows
    whose = "the last batch's" if reported == last else "not the last batch's"
    training = run.history["loss"][-1]
    return (
        f"val_loss is {run.evaluation['loss']:.4g}: Keras 3 has a mean of that name, which the step never"
        " updated, and throws the step's own value away (Keras 2 reported it, from the last batch). Under"
        f" another name it is reported: {reported:.4f}, {whose}, which has {rows_of_last} rows and is"
        f" divided by {BATCH_SIZE}. The mean over all {rows:,} rows is {true:.4f}, beside {training:.4f} in"
        " training.",
        {"val_raw_loss": reported, "true_val_loss": true, "rows_of_last_batch": rows_of_last},
    )


def faster_and_closer_to_overfitting(run: Run, others: Mapping[str, Run]) -> tuple[str, Measured]:
    """Row 10: Adam beside SGD."""

    def gap(each: Run) -> str:
        points = (each.history["accuracy"][-1] - each.history["val_accuracy"][-1]) * 100
        return f"{abs(points):.2f} points {'above' if points >= 0 else 'below'} validation"

    sgd = others["sgd"]
    logs = [folder for each in (run, sgd) for folder in each.directory.glob("tensorboard")]
    return (
        f"After its first epoch Adam validates at {run.history['val_accuracy'][0]:.2%}, SGD at"
        f" {sgd.history['val_accuracy'][0]:.2%}; at the end training is {gap(run)} with Adam,"
        f" {gap(sgd)} with SGD. For TensorBoard: {' and '.join(map(str, logs)) or 'nothing was logged'}.",
        {},
    )


CAUSES = {
    2: averaged_over_outputs,
    7: wrong_meter,
    9: last_batch_reported,
    10: faster_and_closer_to_overfitting,
}
