"""Deviations in what is trained on, in what training begins with, and in the forward pass."""

from __future__ import annotations

import functools
from typing import Any, ClassVar, Literal

import keras
import numpy as np

from kerasx.parity.reference.deviation import At, Deviation

Encoding = Literal["class-numbers", "column", "one-hot", "flat"]
Place = Literal["before", "between", "after"]


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


class TrainingFlag(Deviation):
    """The model is called with another training flag.

    Attributes:
        training: The flag.
        layers: The names of layers that alone are called with it; empty for the model.
    """

    cause: ClassVar[str] = "training-flag"
    stage: ClassVar[str] = "forward"
    kind: Literal["training-flag"] = "training-flag"
    training: bool
    layers: tuple[str, ...] = ()

    def flag(self, training: bool | None, at: At) -> bool | None:
        """Its own flag."""
        return training if self.layers else self.training

    def begins(self, at: At) -> None:
        """Have the layers take it, whatever they are called with."""
        for layer in at.model.layers:
            if layer.name in self.layers:
                self._take(layer, at)

    def _take(self, layer: Any, at: At) -> None:
        call = layer.call

        @functools.wraps(call)
        def flagged(*args: Any, **kwargs: Any) -> Any:
            if self.is_on(at.memory):
                kwargs["training"] = self.training
            return call(*args, **kwargs)

        object.__setattr__(layer, "call", flagged)
        at.memory.setdefault("undo", []).append(lambda: object.__delattr__(layer, "call"))


class ExtraForward(Deviation):
    """The model is called once more in a step.

    Attributes:
        place: Before the forward pass of the loss, before the update, or after it.
        training: With which flag.
        used: Whether metrics are given its outputs.
        times: How often.
    """

    stage: ClassVar[str] = "forward"
    kind: Literal["extra-forward"] = "extra-forward"
    place: Place
    training: bool
    used: bool = False
    times: int = 1
    keeps_state: bool = False
    """Whether it moves no state, as a pass of a frozen model does."""

    @property
    def cause(self) -> str:  # type: ignore[override]
        """What is measured after the update is another cause, unless it moves state."""
        return (
            "metric-after-update"
            if self.used and self.keeps_state and self.place == "after"
            else "extra-forward"
        )

    def before(self, at: At) -> None:
        """Call it before."""
        if self.place == "before":
            self._call(at)

    def scales(self, at: At) -> bool:
        """Call it once the loss is there."""
        if self.place == "between" and at.kind == "training":
            self._call(at)
        return True

    def after(self, at: At) -> None:
        """Call it after the update."""
        if self.place == "after" or (at.kind == "evaluation" and self.place == "between"):
            self._call(at)

    def outputs(self, y_pred: Any, at: At) -> Any:
        """Its own, where metrics are given them."""
        return at.memory[self] if self.used else y_pred

    def _call(self, at: At) -> None:
        for _ in range(self.times):
            at.memory[self] = at.forward(self.training)


class OtherSeeds(Deviation):
    """Random streams stand elsewhere when the forward pass begins.

    Attributes:
        shifts: For each seed state by name and each step of the run what is added to it: how often other
            draws go before.
        fixed: For each seed state by name what it is set to in each step.
        each: For each seed state by name, what it is set to by the place of a step in the trace.
        initial: The names of seed states that training begins with other values of.
    """

    cause: ClassVar[str] = "rng-stream"
    stage: ClassVar[str] = "forward"
    kind: Literal["other-seeds"] = "other-seeds"
    shifts: tuple[tuple[str, int], ...] = ()
    fixed: tuple[tuple[str, tuple[int, ...]], ...] = ()
    each: tuple[tuple[str, tuple[tuple[int, tuple[int, ...]], ...]], ...] = ()
    initial: tuple[str, ...] = ()

    def begins(self, at: At) -> None:
        """Take the values that the other side began with."""
        at.memory["initial"](self.initial)

    def before(self, at: At) -> None:
        """Move the streams."""
        by_name = {at.memory["names"][id(each)]: each for each in at.model.variables}
        for name, shift in self.shifts:
            state = by_name[name]
            value = keras.ops.convert_to_numpy(state)
            state.assign(value + np.array([0, shift], dtype=value.dtype))
        here = [(name, dict(places)[at.index]) for name, places in self.each if at.index in dict(places)]
        for name, fixed in (*self.fixed, *here):
            by_name[name].assign(np.array(fixed, dtype=np.dtype(by_name[name].dtype)))


class StateKept(Deviation):
    """State that a forward pass moves is as it was before the step.

    Attributes:
        variables: The names of the variables.
    """

    cause: ClassVar[str] = "state-not-updated"
    stage: ClassVar[str] = "state"
    kind: Literal["state-kept"] = "state-kept"
    variables: tuple[str, ...]

    def before(self, at: At) -> None:
        """Remember."""
        at.memory[self] = {id(each): keras.ops.convert_to_numpy(each) for each in self._of(at)}

    def after(self, at: At) -> None:
        """Put back."""
        for each in self._of(at):
            each.assign(at.memory[self][id(each)])

    def _of(self, at: At) -> list[Any]:
        return [each for each in at.model.variables if at.memory["names"][id(each)] in self.variables]
