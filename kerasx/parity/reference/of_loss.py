"""Deviations in what the loss is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Literal

import keras
from keras import ops
from pydantic import Field

from kerasx.parity.reference.deviation import At, Deviation
from kerasx.parity.reference.objective import Term
from kerasx.parity.reference.of_data import Encoding, encoded
from kerasx.parity.reference.of_metrics import metric_of

Encoded = Literal["as-given", "one-hot", "class-numbers"]


class OfTerms(Deviation):
    """Changes the term of one output, or of all.

    Attributes:
        output: The output's name; None for all.
        tracked: Whether what is reported of the output alone is changed too, as by another compiled loss.
    """

    stage: ClassVar[str] = "loss"
    output: str | None = None
    tracked: bool = False

    def terms(self, terms: list[Term], at: At) -> list[Term]:
        """Change the terms that it is of."""
        changed = [self.changed(each, at) if self.output in (None, each.name) else each for each in terms]
        if self.tracked:
            for old, new in zip(terms, changed, strict=True):
                _track(old, new, at)
        return changed

    def changed(self, term: Term, at: At) -> Term:
        """One term, changed."""
        return term


def _track(old: Term, new: Term, at: At) -> None:
    """Put the value of a changed term in the place of the one that Keras has added to its mean."""
    metric = metric_of(at.model, f"{old.name}_loss")
    if metric is not None and new is not old and old.weight and new.weight:
        more = ops.stop_gradient(new.value() / new.weight - old.value() / old.weight)
        metric.total.assign_add(more * at.rows)


class Reduction(OfTerms):
    """Another reduction: the term is larger or smaller by a constant, or by the number of rows.

    Attributes:
        factor: The constant.
        over: What of the shape it comes from, such as `outputs` or `1/outputs`.
        by_rows: Whether the number of rows of the batch is a factor too: a sum over rows.
        whole: Whether losses that layers added are multiplied too.
    """

    cause: ClassVar[str] = "loss-reduction"
    kind: Literal["reduction"] = "reduction"
    factor: float
    over: str = ""
    by_rows: bool = False
    whole: bool = False

    def changed(self, term: Term, at: At) -> Term:
        """With its factor."""
        factor = self.factor * (at.rows if self.by_rows else 1)
        return replace(term, factor=term.factor * factor)

    def extras(self, times: float, at: At) -> float:
        """The same factor, where it is one of the whole."""
        return times * self.factor * (at.rows if self.by_rows else 1) if self.whole else times


class BatchDivisor(OfTerms):
    """Divided by a constant in the place of the rows there are.

    Attributes:
        divisor: The constant.
        whole: Whether losses that layers added are divided too.
    """

    cause: ClassVar[str] = "loss-batch-divisor"
    kind: Literal["batch-divisor"] = "batch-divisor"
    divisor: float
    whole: bool = False

    def changed(self, term: Term, at: At) -> Term:
        """Divided otherwise."""
        return replace(term, factor=term.factor * at.rows / self.divisor)

    def extras(self, times: float, at: At) -> float:
        """The same, where it is of the whole."""
        return times * at.rows / self.divisor if self.whole else times


class Extras(Deviation):
    """Losses that layers added are left out, or added more than once.

    Attributes:
        times: How often they are in the loss.
    """

    cause: ClassVar[str] = "loss-extra"
    stage: ClassVar[str] = "loss"
    kind: Literal["extras"] = "extras"
    times: float = 1.0
    each: tuple[float, ...] = ()
    """How often each of them is, where that is not the same."""

    def extras(self, times: float, at: At) -> float:
        """As often."""
        if not self.each:
            return times * self.times
        parts = [ops.sum(ops.cast(loss, "float32")) for loss in at.model.losses]
        weighed = sum(k * part for k, part in zip(self.each, parts, strict=True))
        return times * weighed / sum(parts)  # type: ignore[no-any-return]


class OutputWeight(OfTerms):
    """Another factor of an output in the whole.

    Attributes:
        weight: The factor.
    """

    cause: ClassVar[str] = "loss-weights"
    kind: Literal["output-weight"] = "output-weight"
    weight: float

    def changed(self, term: Term, at: At) -> Term:
        """With its weight."""
        return replace(term, weight=self.weight)


class NoSampleWeight(OfTerms):
    """Sample and class weights are dropped."""

    cause: ClassVar[str] = "sample-weight"
    kind: Literal["no-sample-weight"] = "no-sample-weight"

    def changed(self, term: Term, at: At) -> Term:
        """Without them."""
        return replace(term, sample_weight=None)


class WeightNormalization(OfTerms):
    """Weighted values are divided by the sum of weights, where Keras divides by their number, or the
    reverse.

    Attributes:
        by: What they are divided by.
    """

    cause: ClassVar[str] = "weight-normalization"
    kind: Literal["weight-normalization"] = "weight-normalization"
    by: Literal["count", "weights"]

    def changed(self, term: Term, at: At) -> Term:
        """Divided otherwise."""
        return replace(term, normalization=self.by)


class NoMask(OfTerms):
    """Padding is counted.

    Attributes:
        counted: `values` where padding has losses, or `divisor` where it has none and is counted as rows.
    """

    cause: ClassVar[str] = "mask"
    kind: Literal["no-mask"] = "no-mask"
    counted: Literal["values", "divisor"] = "values"

    def changed(self, term: Term, at: At) -> Term:
        """Without the mask, or divided by all."""
        if self.counted == "divisor":
            return replace(term, normalization="count")
        return replace(term, mask=None)


class Broadcast(OfTerms):
    """Labels and outputs of other ranks, so that each row is compared with every other.

    Attributes:
        flat: Which of both lacks the last axis.
    """

    cause: ClassVar[str] = "shape-broadcast"
    kind: Literal["broadcast"] = "broadcast"
    flat: Literal["labels", "outputs"]

    def changed(self, term: Term, at: At) -> Term:
        """Of the ranks that they have there."""

        def prepare(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
            flat = ops.reshape(y_true if self.flat == "labels" else y_pred, [-1])
            other = y_pred if self.flat == "labels" else y_true
            column = ops.reshape(other, [-1, 1])
            rows = int(flat.shape[0])
            # Every pair, as a criterion of one output sees it.
            wide, tall = ops.broadcast_to(flat[None, :], [rows, rows]), ops.broadcast_to(column, [rows, rows])
            pair = (wide, tall) if self.flat == "labels" else (tall, wide)
            return ops.expand_dims(pair[0], -1), ops.expand_dims(pair[1], -1)

        weight = term.sample_weight
        if weight is not None:
            weight = ops.reshape(ops.convert_to_tensor(weight), [-1, 1])
        # The mean over the last axis is taken row by row, and then weighted.
        return replace(term, prepare=prepare, sample_weight=weight)


class BroadcastWeights(OfTerms):
    """Weights in a column, so that each row is weighted with every other's."""

    cause: ClassVar[str] = "shape-broadcast"
    kind: Literal["broadcast-weights"] = "broadcast-weights"

    def changed(self, term: Term, at: At) -> Term:
        """The mean over all pairs is the product of both means."""
        mean = ops.mean(ops.cast(term.sample_weight, "float32"))
        return replace(term, sample_weight=None, factor=term.factor * mean)


class LabelsOfLoss(OfTerms):
    """The loss is given labels in another encoding, and nothing else is.

    Attributes:
        encoding: As of `OtherLabels`.
    """

    cause: ClassVar[str] = "label-format"
    kind: Literal["labels-of-loss"] = "labels-of-loss"
    encoding: Encoding

    def changed(self, term: Term, at: At) -> Term:
        """With the other labels."""
        return replace(term, y_true=encoded(term.y_true, self.encoding, term.y_pred.shape[-1]))


class LossDtype(OfTerms):
    """Computed in another dtype than Keras's float32.

    Attributes:
        dtype: Which.
        summed: Whether all values are summed before they are divided, which overflows sooner.
    """

    cause: ClassVar[str] = "loss-dtype"
    kind: Literal["loss-dtype"] = "loss-dtype"
    dtype: str
    summed: bool = False

    def loss(self, loss: Any, at: At) -> Any:
        """The whole, in its dtype."""
        return ops.cast(loss, self.dtype)

    def changed(self, term: Term, at: At) -> Term:
        """In its dtype."""
        if not self.summed:
            return replace(term, dtype=self.dtype)
        outputs = term.y_pred.shape[-1]

        def values(y_true: Any, y_pred: Any) -> Any:
            # Means over outputs become sums, in the dtype; the sum over rows follows.
            return (term.values or term.criterion.call)(y_true, y_pred) * ops.cast(outputs, self.dtype)

        return replace(term, dtype=self.dtype, values=values, factor=term.factor / outputs)


class OtherCriterion(OfTerms):
    """Another loss, as Keras has it.

    Attributes:
        name: The class of the loss in `keras.losses`.
        options: What it is made with.
        labels: How the labels are encoded for it: as they are, or as one-hot rows.
        activation: Applied to the outputs before.
        logits: Whether it is the same loss but for what it takes the outputs for.
    """

    kind: Literal["other-criterion"] = "other-criterion"
    name: str
    options: dict[str, float | bool | str] = Field(default_factory=dict)
    labels: Encoded = "as-given"
    activation: Literal["none", "softmax", "sigmoid"] = "none"
    plain: bool = True
    """Whether the outputs are taken as they are; Keras repairs what comes straight from its softmax."""
    logits: bool = False

    @property
    def cause(self) -> str:  # type: ignore[override]
        """What is taken for logits is a cause of its own."""
        return "from-logits" if self.logits else "loss-function"

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    def changed(self, term: Term, at: At) -> Term:
        """With the other loss."""
        criterion = getattr(keras.losses, self.name)(reduction=term.criterion.reduction, **self.options)

        def prepare(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
            classes = y_pred.shape[-1]
            if self.labels == "one-hot":
                flat = (
                    ops.squeeze(y_true, -1)
                    if y_true.shape[-1] == 1 and len(y_true.shape) == len(y_pred.shape)
                    else y_true
                )
                y_true = ops.one_hot(ops.cast(flat, "int32"), classes, dtype=y_pred.dtype)
            elif self.labels == "class-numbers":
                y_true = ops.argmax(y_true, axis=-1)
            if self.activation != "none":
                y_pred = _ACTIVATIONS[self.activation](y_pred)
            if self.plain:
                y_pred = y_pred + ops.zeros_like(y_pred)  # without what Keras notes on a tensor
            return y_true, y_pred

        return replace(term, criterion=criterion, prepare=prepare)


_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"softmax": ops.softmax, "sigmoid": ops.sigmoid}
