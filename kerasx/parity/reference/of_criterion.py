"""Deviations in what the values of a loss are computed from, and by which formula."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import keras
import numpy as np
from keras import ops
from pydantic import Field

from kerasx.parity.reference.deviation import At
from kerasx.parity.reference.objective import Prepare, Term, criterion_of
from kerasx.parity.reference.of_data import Encoding, encoded
from kerasx.parity.reference.of_loss import OfTerms

Encoded = Literal["as-given", "one-hot", "class-numbers"]


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
        own_loss: Whether the loss is the side's own, which on Keras's labels equals Keras's.
    """

    cause: ClassVar[str] = "label-format"
    kind: Literal["labels-of-loss"] = "labels-of-loss"
    encoding: Encoding
    own_loss: bool = False

    def changed(self, term: Term, at: At) -> Term:
        """With the other labels."""
        labels = encoded(term.y_true, self.encoding, term.y_pred.shape[-1])
        criterion = criterion_of(at.memory["loss"]) if self.own_loss else term.criterion
        return replace(term, y_true=labels, criterion=criterion)


class LossDtype(OfTerms):
    """Computed in another dtype than Keras's float32.

    Attributes:
        dtype: Which.
        summed: Whether values are summed before they are divided, which overflows sooner: those of the
            outputs of each row, or all.
        whole: That of the sum of all terms, which may be cast again.
        disturbance: Of the directions in which outputs are moved by one unit in their last place; 0 for none.
    """

    cause: ClassVar[str] = "loss-dtype"
    kind: Literal["loss-dtype"] = "loss-dtype"
    dtype: str
    summed: Literal["none", "outputs", "all"] = "none"
    whole: str = "float32"
    disturbance: int = 0

    def disturbed(self, seed: int) -> Self:
        """With outputs moved in the last place that the dtype has: another formula rounds as far."""
        return self.model_copy(update={"disturbance": seed})

    def loss(self, loss: Any, at: At) -> Any:
        """The whole, in its dtype."""
        return ops.cast(loss, self.whole)

    def changed(self, term: Term, at: At) -> Term:
        """In its dtype."""
        if self.disturbance:
            term = replace(term, prepare=functools.partial(self._moved, term.prepare))
        if self.summed == "none":
            return replace(term, dtype=self.dtype)
        outputs = term.y_pred.shape[-1]

        def values(y_true: Any, y_pred: Any) -> Any:
            # Means over outputs become sums, in the dtype; the sum over rows follows.
            sums = (term.values or term.criterion.call)(y_true, y_pred) * ops.cast(outputs, self.dtype)
            return sums if self.summed == "all" else sums / ops.cast(outputs, self.dtype)

        factor = term.factor / outputs if self.summed == "all" else term.factor
        return replace(term, dtype=self.dtype, values=values, factor=factor)

    def _moved(self, prepare: Prepare | None, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        values = ops.convert_to_numpy(y_pred)
        rng = np.random.default_rng([self.disturbance, values.size])
        towards = np.where(rng.random(values.shape) < 0.5, -np.inf, np.inf).astype(values.dtype)
        moved = y_pred + ops.convert_to_tensor(np.nextafter(values, towards) - values, dtype=self.dtype)
        return (y_true, moved) if prepare is None else prepare(y_true, moved)


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
