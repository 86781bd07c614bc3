"""Deviations in what is reported of what was measured, which leave the training as it is."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import keras

from kerasx.parity.reference.deviation import At, Track
from kerasx.parity.reference.of_metrics import OfReport, metric_of

Reported = Literal["mean-output", "without-extras"]


class ResetEachStep(OfReport):
    """Metrics begin anew in each step, so that the last batch's are reported.

    Attributes:
        metrics: The names of those; empty for all.
    """

    cause: ClassVar[str] = "loss-report-last-batch"
    kind: Literal["reset-each-step"] = "reset-each-step"
    metrics: tuple[str, ...] = ()

    def before(self, at: At) -> None:
        """Reset."""
        if not self.metrics:
            at.model.reset_metrics()
        for name in self.metrics:
            if (metric := metric_of(at.model, name)) is not None:
                metric.reset_state()


class LastLogs(OfReport):
    """The step returns other names than the trackers', so that Keras reports the last batch's values.

    Attributes:
        added: Names that it returns beside the trackers'.
        left_out: Names of trackers that it does not return.
        raw: Names under which it returns the batch's own loss.
    """

    cause: ClassVar[str] = "loss-report-last-batch"
    kind: Literal["last-logs"] = "last-logs"
    added: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    raw: tuple[str, ...] = ()
    tracked: bool = True

    def track(self, track: Track, at: At) -> Track:
        """Keep the batch's loss in mind."""

        def both(loss: Any) -> None:
            at.memory["raw loss"] = loss
            if self.tracked:
                track(loss)

        return both

    def logs(self, logs: dict[str, Any], at: At) -> dict[str, Any]:
        """With other names."""
        kept = {name: value for name, value in logs.items() if name not in self.left_out}
        kept.update({name: at.memory["given"](name, at) for name in self.added})
        kept.update(dict.fromkeys(self.raw, at.memory["raw loss"]))
        return kept


class MetricMissing(OfReport):
    """A metric that the model was compiled with is not measured.

    Attributes:
        names: Of such metrics.
    """

    cause: ClassVar[str] = "metric-missing"
    kind: Literal["metric-missing"] = "metric-missing"
    names: tuple[str, ...]

    def logs(self, logs: dict[str, Any], at: At) -> dict[str, Any]:
        """Without them."""
        return {name: value for name, value in logs.items() if name not in self.names}

    def epoch_logs(self, logs: dict[str, Any], at: At) -> dict[str, Any]:
        """The epoch's, without them."""
        return self.logs(dict(at.model.get_metrics_result()), at)


class LossDiscarded(OfReport):
    """The batch's own loss is returned under the tracker's name, and the tracker is not updated.

    Attributes:
        tracked: Whether the tracker is updated all the same.
        returned: Whether it is returned; a metric of the same name may be in its place.
        given: Whether that is another value than the batch's loss, such as a mean of the step's own.
    """

    cause: ClassVar[str] = "loss-report-discarded"
    kind: Literal["loss-discarded"] = "loss-discarded"
    tracked: bool = False
    returned: bool = True
    given: bool = False

    def track(self, track: Track, at: At) -> Track:
        """Keep the loss in mind, and do not track it."""

        def kept(loss: Any) -> None:
            at.memory["raw loss"] = loss
            if self.tracked:
                track(loss)

        return kept

    def logs(self, logs: dict[str, Any], at: At) -> dict[str, Any]:
        """The raw loss under the tracker's name."""
        if self.given:
            return {**logs, "loss": at.memory["given"]("loss", at)}
        return {**logs, "loss": at.memory["raw loss"]} if self.returned else logs


class LossUnweighted(OfReport):
    """The reported loss is a mean over batches, not over rows.

    Attributes:
        of: Names of outputs' losses that are; empty for the whole loss.
    """

    cause: ClassVar[str] = "loss-report-unweighted"
    kind: Literal["loss-unweighted"] = "loss-unweighted"
    of: tuple[str, ...] = ()

    def track(self, track: Track, at: At) -> Track:
        """Each batch counts the same."""

        def unweighted(loss: Any) -> None:
            metric_of(at.model, "loss").update_state(loss)

        return track if self.of else unweighted

    def begins(self, at: At) -> None:
        """Have the trackers of outputs leave weights out."""
        for name in self.of:
            metric = metric_of(at.model, name)
            if metric is not None:
                original = metric.update_state

                def update(value: Any, sample_weight: Any = None, original: Any = original) -> Any:
                    return original(value, None if self.is_on(at.memory) else sample_weight)

                object.__setattr__(metric, "update_state", update)
                at.memory.setdefault("undo", []).append(
                    lambda metric=metric: object.__delattr__(metric, "update_state")
                )


class OtherLossReported(OfReport):
    """Something else than the loss is reported as the loss.

    Attributes:
        what: The mean of the outputs, as Keras 2's `compiled_metrics` does today; or the loss without what
            layers added.
        weighted: Whether batches are weighed by their rows; the outputs by sample weights.
        tracked: Whether the loss is tracked beside the outputs.
    """

    kind: Literal["other-loss-reported"] = "other-loss-reported"
    what: Reported
    weighted: bool = True
    tracked: bool = False

    @property
    def cause(self) -> str:  # type: ignore[override]
        """By what it is."""
        return "loss-report-shim" if self.what == "mean-output" else "loss-extra"

    def track(self, track: Track, at: At) -> Track:
        """Track that."""

        def other(loss: Any) -> None:
            if self.what == "mean-output":
                if self.tracked:
                    track(loss)
                # As that stand-in does with every `Mean`, outputs' losses too; it knows of sample weights.
                weights = at.batch[2] if self.weighted else None
                for metric in at.model.metrics:
                    if isinstance(metric, keras.metrics.Mean):
                        metric.update_state(at.memory["outputs"], sample_weight=weights)
                return
            value = loss - at.memory["terms", at.index][1]
            if self.weighted:
                track(value)
            else:
                metric_of(at.model, "loss").update_state(value)

        return other


class LossMoving(OfReport):
    """What is reported of the loss is an evaluation of training rows with the weights that there are then.

    Attributes:
        of_all: Whether it is of all rows that can be trained on; or of those of the epoch.
        every_step: Whether each step reports one; or the epoch alone.
    """

    cause: ClassVar[str] = "loss-report-moving"
    kind: Literal["loss-moving"] = "loss-moving"
    of_all: bool = False
    every_step: bool = False

    def is_rehearsed(self, at: At) -> bool:
        """It takes the model as it then was."""
        return False

    def track(self, track: Track, at: At) -> Track:
        """Not the loss of the batch, where each step reports another."""
        return (lambda loss: None) if self.every_step else track

    def after(self, at: At) -> None:
        """Evaluate after the update."""
        if self.every_step:
            value = at.memory["evaluate"](at, self.of_all)["loss"]
            tracker = metric_of(at.model, "loss")
            tracker.reset_state()
            tracker.update_state(value)

    def epoch_logs(self, logs: dict[str, Any], at: At) -> dict[str, Any]:
        """Evaluate when the epoch ends."""
        return logs if self.every_step else _evaluated(logs, at, self.of_all, losses=True)


class MetricsMoving(OfReport):
    """What is reported of an epoch's metrics is an evaluation of training rows with the weights it ends with.

    Attributes:
        of_all: As of `LossMoving`.
    """

    cause: ClassVar[str] = "metric-after-update"
    kind: Literal["metrics-moving"] = "metrics-moving"
    of_all: bool = False

    def is_rehearsed(self, at: At) -> bool:
        """It takes the model as it then was."""
        return False

    def epoch_logs(self, logs: dict[str, Any], at: At) -> dict[str, Any]:
        """Evaluate when the epoch ends."""
        return _evaluated(logs, at, self.of_all, losses=False)


def _evaluated(logs: dict[str, Any], at: At, of_all: bool, *, losses: bool) -> dict[str, Any]:
    """Logs with the results of an evaluation in place of the losses, or of all else."""
    results = at.memory["evaluate"](at, of_all)
    return {
        name: results.get(name, value) if (name == "loss" or name.endswith("_loss")) == losses else value
        for name, value in logs.items()
    }
