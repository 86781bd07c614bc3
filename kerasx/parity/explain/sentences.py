"""What a side does that has a deviation, for each kind of them, with its numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from kerasx.parity.reference import (
    of_criterion,
    of_data,
    of_forward,
    of_gradient,
    of_loss,
    of_metrics,
    of_report,
    of_update,
)
from kerasx.parity.reference.deviation import Deviation

_PLACES = {"before": "before the loss", "between": "before the update", "after": "after the update"}


def doing(deviation: Deviation, criterion: str) -> str:
    """What a side does, to be put behind its name.

    Args:
        deviation: That it has.
        criterion: What the loss is called.
    """
    return _TOLD[type(deviation)](deviation, criterion)


def has_words(deviation: type[Deviation]) -> bool:
    """Whether there is a sentence for what a kind of deviation does."""
    return deviation in _TOLD


def _reduction(each: of_loss.Reduction, criterion: str) -> str:
    rows = " and the rows" if each.by_rows else ""
    of = f" of the output `{each.output}`" if each.output else ""
    if each.over.startswith("1/"):
        over = each.over.removeprefix("1/")
        return (
            f"averages {criterion}{of} over the {1 / each.factor:g} {over}{rows}, where the other sums them:"
            f" the loss and every gradient are {1 / each.factor:.3f} times smaller"
        )
    if each.over:
        return (
            f"sums {criterion}{of} over the {each.factor:g} {each.over}{rows}, where the other averages: the"
            f" loss and every gradient are {each.factor:.3f} times larger"
        )
    return f"sums {criterion}{of} over the rows of a batch, where the other averages over them"


def _divisor(each: of_loss.BatchDivisor, criterion: str) -> str:
    return (
        f"divides {criterion} by a constant {each.divisor:g}, whatever the rows of the batch: on a batch of r"
        f" rows the loss is r/{each.divisor:g} of what it should be"
    )


def _extras(each: of_loss.Extras, criterion: str) -> str:
    if each.each:
        times = ", ".join(f"{one:g}" for one in each.each)
        return f"adds the losses of layers, in the order of `model.losses`, {times} times, not once each"
    if each.times == 0:
        return "leaves out the losses that layers add (regularizers, add_loss)"
    return f"adds the losses of layers (regularizers, add_loss) {each.times:g} times"


def _criterion(each: of_criterion.OtherCriterion, criterion: str) -> str:
    options = ", ".join(f"{name}={value}" for name, value in each.options.items())
    before = f" of the {each.activation} of the outputs" if each.activation != "none" else ""
    if each.logits:
        logits = each.options.get("from_logits")
        taken = "logits" if logits else "probabilities"
        return f"takes the outputs{before and ', after another ' + each.activation + ','} for {taken}"
    return f"computes {each.name}({options}){before} in place of {criterion}"


def _measured(each: of_metrics.Measured, criterion: str) -> str:
    parts = []
    if each.becomes:
        parts.append(f"measures `{each.metric}` by {each.becomes}")
    changes = [
        f"{name} as {change}"
        for name, change in (("labels", each.labels), ("outputs", each.predictions))
        if change != "as-given"
    ]
    if changes:
        parts.append(f"gives `{each.metric}` {' and '.join(changes)}")
    if each.weighted is not None:
        parts.append(
            f"weighs `{each.metric}`" if each.weighted else f"leaves sample weights out of `{each.metric}`"
        )
    return " and ".join(parts) or f"measures `{each.metric}` otherwise"


def _last(each: of_report.LastLogs, criterion: str) -> str:
    parts = []
    if each.added or each.raw:
        names = ", ".join(f"`{name}`" for name in (*each.added, *each.raw))
        parts.append(f"returns {names} beside the trackers' names")
    if each.left_out:
        parts.append(f"does not return {', '.join(f'`{name}`' for name in each.left_out)}")
    return " and ".join(parts) + ", so that Keras reports the last batch's values"


def _missing(each: of_report.MetricMissing, criterion: str) -> str:
    names = ", ".join(f"`{name}`" for name in each.names)
    return f"does not measure {names}, with which the model was compiled"


def _clips(each: of_gradient.OptimizerClip) -> str:
    limits = {name: getattr(each, name) for name in ("clipnorm", "clipvalue", "global_clipnorm")}
    return ", ".join(f"{name}={limit:g}" for name, limit in limits.items() if limit) or "not at all"


def _settings(each: of_update.OptimizerSettings, criterion: str) -> str:
    values = ", ".join(f"{name}={json.dumps(value)}" for name, value in json.loads(each.settings).items())
    return f"steps with {each.optimizer or 'the optimizer'} with {values}"


def _rates(each: of_update.LearningRates, criterion: str) -> str:
    shown = ", ".join(f"{rate:g}" for rate in each.rates[:4])
    return f"steps with the learning rate {shown}" + (" ..." if len(each.rates) > 4 else "")


# What of an optimizer that is passed by stands still, by whether slots move and steps are counted.
_STANDING = {
    (False, False): ": its slots and its count of steps stand still",
    (True, False): ": its count of steps stands still",
    (True, True): ", by its rule alone",
    (False, True): ": its slots stand still",
}

_TOLD: dict[type[Deviation], Callable[[Any, str], str]] = {
    of_loss.Reduction: _reduction,
    of_loss.BatchDivisor: _divisor,
    of_loss.Extras: _extras,
    of_criterion.OtherCriterion: _criterion,
    of_metrics.Measured: _measured,
    of_report.LastLogs: _last,
    of_report.MetricMissing: _missing,
    of_update.OptimizerSettings: _settings,
    of_update.LearningRates: _rates,
    of_loss.OutputWeight: lambda each, _: (
        f"weighs the loss{f' of the output `{each.output}`' if each.output else ''} by {each.weight:g}"
    ),
    of_loss.NoSampleWeight: lambda each, _: "leaves sample and class weights out of the loss",
    of_loss.WeightNormalization: lambda each, _: (
        "divides the weighted loss by the sum of weights, not by the number of values"
        if each.by == "weights"
        else "divides the weighted loss by the number of values, not by the sum of weights"
    ),
    of_loss.NoMask: lambda each, _: "counts padding in the loss: the Keras mask of the outputs is lost",
    of_loss.Detached: lambda each, _: (
        f"adds the loss of the output `{each.output}` as a number, which no gradient flows through"
    ),
    of_criterion.Broadcast: lambda each, _: (
        f"compares {each.flat} without their last axis: every row meets every other"
    ),
    of_criterion.BroadcastWeights: lambda each, _: (
        "multiplies weights in a column with the losses of rows: every row is weighted with every other's"
    ),
    of_criterion.LabelsOfLoss: lambda each, _: (
        f"gives the loss labels as {each.encoding.replace('-', ' ')}, and nothing else"
    ),
    of_criterion.LossDtype: lambda each, _: f"computes the loss in {each.dtype}",
    of_gradient.UnscaledLoss: lambda each, _: (
        "takes the gradient of the loss without `optimizer.scale_loss`, and the optimizer divides by the"
        " scale"
    ),
    of_gradient.ScaleRemovedTwice: lambda each, _: (
        "divides gradients by the scale of the loss, and the optimizer does so again"
    ),
    of_gradient.Clip: lambda each, _: (
        f"clips gradients by {each.by.replace('-', ' ')} to {each.limit:g}"
        + ("" if each.unscales else " as they come from the tape")
    ),
    of_gradient.OptimizerClip: lambda each, _: f"clips in the optimizer otherwise: {_clips(each)}",
    of_gradient.MissingGradients: lambda each, _: f"has no gradient for {', '.join(each.variables)}",
    of_update.Bypassed: lambda each, _: (
        "assigns weights without the optimizer"
        + (f", the gradient times {each.rates[0]:g}" if each.rule == "gradient" else "")
        + _STANDING[each.slots, each.counts]
    ),
    of_update.SeveralApplies: lambda each, _: (
        f"applies gradients in {each.calls} calls a step, each of which counts"
    ),
    of_update.MicroBatches: lambda each, _: (
        f"cuts each batch in {each.calls}, whose gradients the optimizer accumulates: it counts each part"
    ),
    of_update.NotFinalized: lambda each, _: (
        "does not copy averaged weights into the model when training ends"
    ),
    of_update.Accumulation: lambda each, _: (
        f"applies the {'mean' if each.mean else 'sum'} of the gradients of {each.steps} steps at once"
    ),
    of_data.OtherRows: lambda each, _: (
        "trains on batches of other sizes, or on another number of them"
        if each.sizes
        else "trains on rows in another order"
    ),
    of_data.OtherLabels: lambda each, _: f"encodes labels as {each.encoding.replace('-', ' ')}",
    of_data.OtherInitialWeights: lambda each, _: (
        f"begins with other values of {', '.join(each.variables[:4])}"
    ),
    of_data.OtherVariables: lambda each, _: " and ".join(
        [*([f"does not train {', '.join(each.left_out)}"] if each.left_out else []),
         *([f"trains {', '.join(each.added)}"] if each.added else [])]
    ) + (
        f", in epoch {', '.join(map(str, each.epochs))} alone" if each.epochs else ""
    ),
    of_forward.TrainingFlag: lambda each, _: (
        f"calls {', '.join(f'`{name}`' for name in each.layers) or 'the model'} with training={each.training}"
    ),
    of_forward.ExtraForward: lambda each, _: (
        f"calls the model {'once' if each.times == 1 else f'{each.times} times'} more"
        f" {_PLACES[each.place]}"
        f" with training={each.training}" + (", and measures those outputs" if each.used else "")
    ),
    of_forward.OtherSeeds: lambda each, _: (
        "draws other random numbers: "
        + (
            f"the stream stands {each.shifts[0][1]} draws further on"
            if each.shifts
            else "the seeds are others"
        )
    ),
    of_forward.OtherMasks: lambda each, _: (
        f"draws the same random numbers and compares them the other way round in {', '.join(each.layers)}"
    ),
    of_forward.StateKept: lambda each, _: f"leaves {', '.join(each.variables)} as they were",
    of_metrics.NotReset: lambda each, _: "does not reset "
    + (", ".join(f"`{name}`" for name in each.metrics) or "metrics") + " when an epoch begins",
    of_metrics.ResetWithin: lambda each, _: (
        f"resets metrics {'before every' if each.every else 'before'} step {each.step} of each epoch"
        + (", and leaves the results of an evaluation in them" if each.evaluates else "")
    ),
    of_report.ResetEachStep: lambda each, _: (
        f"resets {', '.join(f'`{name}`' for name in each.metrics) or 'metrics'} at each step: what is"
        " reported is the last batch's"
    ),
    of_report.LossDiscarded: lambda each, _: (
        f"returns {'a value of its own' if each.given else 'the loss of the batch'} as `loss`, which Keras"
        " throws away: it reports the tracker's,"
        + (" the mean" if each.tracked else " which was never updated and is 0.0")
    ),
    of_report.OtherLossReported: lambda each, _: (
        "reports the mean of the outputs as the loss, as Keras 2's `compiled_loss` and `compiled_metrics` do"
        " in Keras 3"
        if each.what == "mean-output"
        else "reports the loss without what layers add to it"
    ),
    of_report.LossUnweighted: lambda each, _: (
        "reports a mean over batches, in which the short one counts as much as the others"
    ),
    of_report.LossMoving: lambda each, _: (
        "reports an evaluation with the weights after each step, not the loss of its batch"
        if each.every_step
        else "reports an evaluation with the weights at the epoch's end, not the mean over its moving weights"
    ),
    of_report.MetricsMoving: lambda each, _: (
        "measures with the weights at the epoch's end, not with those that each batch was trained with"
    ),
}  # fmt: skip
