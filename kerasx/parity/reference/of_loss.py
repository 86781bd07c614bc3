"""Deviations in what the loss is made of, and how it is reduced."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from keras import ops

from kerasx.parity.reference.deviation import At, Deviation
from kerasx.parity.reference.objective import Term
from kerasx.parity.reference.of_metrics import metric_of


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


class Detached(OfTerms):
    """The loss of an output is in the whole as a number, of which no gradient is taken."""

    cause: ClassVar[str] = "gradient-missing"
    stage: ClassVar[str] = "gradient"
    kind: Literal["detached"] = "detached"

    def changed(self, term: Term, at: At) -> Term:
        """Its value alone."""
        call = term.values or term.criterion.call
        return replace(term, values=lambda y_true, y_pred: ops.stop_gradient(call(y_true, y_pred)))


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
