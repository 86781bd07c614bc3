"""Deviations in what is trained on, and in what training begins with."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import keras

from kerasx.parity.reference.deviation import At, Deviation

Encoding = Literal["class-numbers", "column", "one-hot", "flat"]


class OtherRows(Deviation):
    """Batches of other rows than the experiment's.

    Attributes:
        batches: For each training step, epochs one after the other, the numbers of the rows; None for a batch
            that is handed out and not used.
        sizes: Whether batches have other sizes, or other numbers of them, than the experiment's.
        epochs: How many of these steps each epoch has.
        evaluation: For each step of an evaluation the numbers of its rows; none where they are its own.
    """

    stage: ClassVar[str] = "data"
    kind: Literal["other-rows"] = "other-rows"
    batches: tuple[tuple[int, ...] | None, ...]
    sizes: bool
    epochs: tuple[int, ...]
    evaluation: tuple[tuple[int, ...], ...] = ()

    @property
    def cause(self) -> str:  # type: ignore[override]
        """Other sizes are another cause than another order."""
        return "batch-size" if self.sizes else "batch-order"


class OtherLabels(Deviation):
    """Labels in another encoding.

    Attributes:
        encoding: `class-numbers` of one-hot rows, `column` of class numbers, `one-hot` of class numbers, or
            `flat` for a last axis of one that is left out.
        classes: How many, for one-hot rows.
        column: Whether class numbers are a column `[rows, 1]`.
        dtype: Of the labels; None leaves it.
    """

    cause: ClassVar[str] = "label-format"
    stage: ClassVar[str] = "data"
    kind: Literal["other-labels"] = "other-labels"
    encoding: Encoding
    classes: int = 0
    dtype: str | None = None

    def before(self, at: At) -> None:
        """Encode the labels of the batch."""
        x, y, sample_weight = at.batch
        y = encoded(y, self.encoding, self.classes)
        at.batch = (x, y if self.dtype is None else keras.ops.cast(y, self.dtype), sample_weight)


def encoded(y: Any, encoding: Encoding, classes: int) -> Any:
    """Labels in another encoding; of one-hot rows with so many classes."""
    ops = keras.ops
    if encoding == "class-numbers":
        return ops.argmax(y, axis=-1)
    if encoding == "column":
        return ops.expand_dims(ops.argmax(y, axis=-1) if len(y.shape) > 1 and y.shape[-1] != 1 else y, -1)
    if encoding == "one-hot":
        return ops.one_hot(ops.cast(ops.reshape(y, [y.shape[0]]), "int32"), classes)
    return ops.squeeze(y, axis=-1)


class OtherInitialWeights(Deviation):
    """Training begins with other weights.

    Attributes:
        variables: The names of those that differ.
    """

    cause: ClassVar[str] = "initial-weights"
    stage: ClassVar[str] = "initial-state"
    kind: Literal["other-initial-weights"] = "other-initial-weights"
    variables: tuple[str, ...]

    def begins(self, at: At) -> None:
        """Take the values that the other side began with."""
        at.memory["initial"](self.variables)


class OtherVariables(Deviation):
    """Gradients are taken by other variables than the model's trainable ones.

    Attributes:
        left_out: The names of variables that are not trained.
        added: The names of variables that are, and are not trainable.
        epochs: In which epochs; empty for all.
    """

    cause: ClassVar[str] = "trainable-set"
    stage: ClassVar[str] = "initial-state"
    kind: Literal["other-variables"] = "other-variables"
    left_out: tuple[str, ...]
    added: tuple[str, ...] = ()
    epochs: tuple[int, ...] = ()

    def sources(self, variables: list[Any], at: At) -> list[Any]:
        """Leave variables out, and add others."""
        if self.epochs and at.epoch not in self.epochs:
            return variables
        names = at.memory["names"]
        others = [each for each in at.model.variables if names[id(each)] in self.added]
        return [each for each in variables if names[id(each)] not in self.left_out] + others
