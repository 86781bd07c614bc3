"""Deviations in the forward pass, and in the state that it leaves."""

from __future__ import annotations

import functools
from typing import Any, ClassVar, Literal

import keras
import numpy as np

from kerasx.parity.reference.deviation import At, Deviation

Place = Literal["before", "between", "after"]


class TrainingFlag(Deviation):
    """The model is called with another training flag.

    Attributes:
        training: The flag.
        since: The epoch from which on it is that.
        layers: The names of layers that alone are called with it; empty for the model.
    """

    cause: ClassVar[str] = "training-flag"
    stage: ClassVar[str] = "forward"
    kind: Literal["training-flag"] = "training-flag"
    training: bool
    since: int = 0
    layers: tuple[str, ...] = ()

    def flag(self, training: bool | None, at: At) -> bool | None:
        """Its own flag."""
        return training if self.layers or at.epoch < self.since else self.training

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


class OtherMasks(Deviation):
    """Dropout keeps what is drawn below the share that is kept, where Keras keeps what is drawn above the
    share that is dropped.

    Attributes:
        layers: The names of the layers.
    """

    cause: ClassVar[str] = "rng-stream"
    stage: ClassVar[str] = "forward"
    kind: Literal["other-masks"] = "other-masks"
    layers: tuple[str, ...]

    def begins(self, at: At) -> None:
        """Have the layers drop so."""
        for layer in at.model.layers:
            if layer.name in self.layers:
                self._take(layer, at)

    def _take(self, layer: Any, at: At) -> None:
        call, ops = layer.call, keras.ops

        @functools.wraps(call)
        def masked(inputs: Any, training: bool = False) -> Any:
            if not training or not self.is_on(at.memory):
                return call(inputs, training=training)
            shape = layer.noise_shape or ops.shape(inputs)
            drawn = keras.random.uniform(shape, seed=layer.seed_generator, dtype=inputs.dtype)
            return ops.where(drawn < 1.0 - layer.rate, inputs / (1.0 - layer.rate), 0.0)

        object.__setattr__(layer, "call", masked)
        at.memory.setdefault("undo", []).append(lambda: object.__delattr__(layer, "call"))


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
