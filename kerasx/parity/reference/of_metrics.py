"""Deviations in metrics: which they are, what they are given, and when they begin anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import keras
from keras import ops

from kerasx.parity.reference.deviation import At, Deviation
from kerasx.parity.reference.objective import Term
from kerasx.parity.reference.step import TERMS

Change = Literal[
    "as-given", "argmax", "argmax-column", "one-hot", "softmax", "sigmoid", "round", "flat", "column"
]


class OfReport(Deviation):
    """Of the stage report."""

    stage: ClassVar[str] = "report"
    scope: Literal["training", "evaluation", "both"] = "training"

    def is_rehearsed(self, at: At) -> bool:
        """What is reported is made of losses and outputs."""
        return True


class Measured(OfReport):
    """A metric is another one, or is given labels or outputs in another form.

    Attributes:
        metric: Its name in the logs.
        becomes: The class in `keras.metrics` that measures in its place; empty for its own.
        labels: What becomes of the labels before.
        predictions: What becomes of the outputs before.
        weighted: Whether sample weights are used: where not, those of a weighted metric are left out; where
            so, one that Keras gives none is given the batch's.
    """

    kind: Literal["measured"] = "measured"
    metric: str
    becomes: str = ""
    labels: Change = "as-given"
    predictions: Change = "as-given"
    weighted: bool | None = None

    @property
    def cause(self) -> str:  # type: ignore[override]
        """The class alone, or the form."""
        if self.weighted is not None and self.labels == self.predictions == "as-given" and not self.becomes:
            return "sample-weight"
        if self.labels in ("as-given", "flat", "column") and self.becomes:
            # By the shapes of what it is given 'accuracy' has become another one.
            return "metric-resolution"
        is_given_others = (self.labels, self.predictions) != ("as-given", "as-given")
        return "metric-label-format" if is_given_others else "metric-resolution"

    def begins(self, at: At) -> None:
        """Have another metric stand in for it."""
        metric = metric_of(at.model, self.metric)
        if metric is None:
            return
        kind = getattr(keras.metrics, self.becomes) if self.becomes else None
        made = kind(name=metric.name) if kind is not None else None
        if made is None:
            made = type(metric).from_config(metric.get_config())
        put = stand_in(metric, made, self, at.memory)
        at.memory.setdefault("undo", []).append(put)
        at.memory.setdefault("metrics", {})[self.metric] = made

    def before(self, at: At) -> None:
        """Remember where the run is, whose weights the metric may be given."""
        at.memory[self] = at

    def given(self, y: Any, y_pred: Any, weights: Any, memory: dict[Any, Any]) -> tuple[Any, Any, Any]:
        """Labels, outputs and sample weights as it is given them."""
        if self.weighted is False:
            weights = None
        elif self.weighted and weights is None:
            weights = _weights(memory[TERMS, memory[self].index][0] or (), self.metric)
        return changed(y, self.labels, y_pred), changed(y_pred, self.predictions, y_pred), weights


def _weights(terms: Sequence[Term], metric: str) -> Any:
    """The sample weights of the output that a metric is named after, or of all outputs alike."""
    named = [term for term in terms if metric.startswith(f"{term.name}_")]
    if named:
        return max(named, key=lambda term: len(term.name)).sample_weight
    every = {id(term.sample_weight): term.sample_weight for term in terms}
    return next(iter(every.values())) if len(every) == 1 else None


def metric_of(model: keras.Model, name: str) -> Any:
    """The metric that is reported under a name; None for none.

    Of several outputs the name has the output's before it.
    """
    plain = [each for each in all_metrics(model) if each.name == name]
    if plain:
        return plain[0]
    ending = [each for each in all_metrics(model) if name.endswith(f"_{each.name}")]
    return ending[0] if ending else None


def all_metrics(model: keras.Model) -> list[Any]:
    """A model's metrics, those that `compile` was given among them."""
    found: list[Any] = []
    for each in model.metrics:
        found += getattr(each, "metrics", None) or [each]
    return found


def stand_in(metric: Any, made: Any, measured: Measured, memory: dict[Any, Any]) -> Any:
    """Let one metric measure and report in the place of another, in the steps that a deviation is of.

    Returns:
        What ends that.
    """
    own = {name: getattr(metric, name) for name in ("update_state", "result", "reset_state")}

    def update_state(y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if not measured.is_on(memory):
            return own["update_state"](y, y_pred, sample_weight)
        return made.update_state(*measured.given(y, y_pred, sample_weight, memory))

    def result() -> Any:
        return made.result() if measured.is_on(memory) else own["result"]()

    def reset_state() -> None:
        made.reset_state()
        own["reset_state"]()

    for name, method in (("update_state", update_state), ("result", result), ("reset_state", reset_state)):
        object.__setattr__(metric, name, method)
    made.reset_state()

    def end() -> None:
        for name, method in own.items():
            object.__setattr__(metric, name, method)

    return end


def changed(value: Any, change: Change, outputs: Any) -> Any:
    """Labels or outputs in another form."""
    if change == "argmax":
        return ops.argmax(value, axis=-1)
    if change == "argmax-column":
        return ops.argmax(value, axis=-1)[:, None]
    if change == "one-hot":
        flat = ops.squeeze(value, -1) if len(value.shape) > 1 and value.shape[-1] == 1 else value
        return ops.one_hot(ops.cast(flat, "int32"), outputs.shape[-1])
    if change == "softmax":
        return ops.softmax(value)
    if change == "sigmoid":
        return ops.sigmoid(value)
    if change == "round":
        return ops.round(value)
    if change == "flat":
        return ops.reshape(value, [-1])
    if change == "column":
        return ops.expand_dims(value, -1)
    return value


class NotReset(OfReport):
    """Metrics go on from one epoch to the next.

    Attributes:
        metrics: The names of those; empty for all.
        apart: Whether they go on from where training left them, as meters do that no evaluation uses.
    """

    cause: ClassVar[str] = "metric-not-reset"
    kind: Literal["not-reset"] = "not-reset"
    metrics: tuple[str, ...] = ()
    apart: bool = False

    def is_rehearsed(self, at: At) -> bool:
        """Only where nothing was measured before."""
        return at.kind == "training" and at.epoch == 0

    def epoch_logs(self, logs: dict[str, Any], at: At) -> dict[str, Any]:
        """Remember what training leaves in them."""
        if self.apart and at.kind == "training":
            at.memory[self] = [keras.ops.convert_to_numpy(each) for each in at.model.metrics_variables]
        return logs

    def resets(self, metric: Any, at: At) -> bool:
        """Not these; where metrics are kept together, the others are reset one by one."""
        if metric is None:
            for variable, value in zip(at.model.metrics_variables, at.memory.get(self, ()), strict=False):
                variable.assign(value)
        if metric is None or not self.metrics:
            return False
        parts = getattr(metric, "metrics", None)
        if not parts:
            return metric.name not in self.metrics
        for each in parts:
            if each.name not in self.metrics:
                each.reset_state()
        return False


class ResetWithin(OfReport):
    """Metrics begin anew within an epoch, as an evaluation of a batch makes them.

    Attributes:
        step: Before which training step of each epoch.
        every: Before each that is a multiple of it.
        evaluates: Whether an evaluation goes before, whose results stay in the metrics.
    """

    cause: ClassVar[str] = "metric-not-reset"
    kind: Literal["reset-within"] = "reset-within"
    step: int
    every: bool = False
    evaluates: bool = False

    def is_rehearsed(self, at: At) -> bool:
        """Not where the model is needed for it, as it then was."""
        return not self.evaluates

    def begins(self, at: At) -> None:
        """Count from the beginning."""
        at.memory[self] = (-1, -1)

    def before(self, at: At) -> None:
        """Reset before that step."""
        epoch, count = at.memory[self]
        count = count + 1 if epoch == at.epoch else 0
        at.memory[self] = (at.epoch, count)
        if count == self.step or (self.every and count and count % self.step == 0):
            at.model.reset_metrics()
            if self.evaluates:
                at.memory["hold out"](at)
