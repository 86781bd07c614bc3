"""Deviations in how gradients are applied."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kerasx.parity.reference.deviation import Apply, At, Deviation
from kerasx.parity.reference.optimizers import inner_of, step_with


class OptimizerSettings(Deviation):
    """The optimizer has other settings.

    Attributes:
        optimizer: Its class in `keras.optimizers`; empty for the experiment's.
        settings: By name, those that differ, as JSON holds them.
    """

    cause: ClassVar[str] = "optimizer-config"
    stage: ClassVar[str] = "update"
    kind: Literal["optimizer-settings"] = "optimizer-settings"
    optimizer: str = ""
    settings: str

    def begins(self, at: At) -> None:
        """Step with an optimizer that has them."""
        inner = inner_of(at.model.optimizer)
        values = json.loads(self.settings)
        kind = getattr(keras.optimizers, self.optimizer) if self.optimizer else type(inner)
        config = values if kind is not type(inner) else {**inner.get_config(), **values}
        step_with(kind.from_config(config), at)


class _Rates(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that is set from outside."""

    def __init__(self) -> None:
        self.rate = 0.0

    def __call__(self, step: Any) -> Any:
        return ops.cast(self.rate, "float32")

    def get_config(self) -> dict[str, Any]:
        return {}


class LearningRates(Deviation):
    """The learning rate is another one, which may change from step to step.

    Attributes:
        rates: For each training step of the run, epochs one after the other; one for all where there is one.
    """

    cause: ClassVar[str] = "optimizer-config"
    stage: ClassVar[str] = "update"
    kind: Literal["learning-rates"] = "learning-rates"
    rates: tuple[float, ...]

    def begins(self, at: At) -> None:
        """Step with an optimizer whose rate can be set, in the place of one that has a schedule."""
        inner = inner_of(at.model.optimizer)
        config = inner.get_config()
        if isinstance(config["learning_rate"], dict):
            rates = at.memory[self] = _Rates()
            step_with(type(inner).from_config({**config, "learning_rate": rates}), at)

    def before(self, at: At) -> None:
        """Set the rate of the step."""
        count = at.memory["rates"] = at.memory.get("rates", -1) + 1
        rate = self.rates[min(count, len(self.rates) - 1)]
        if self in at.memory:
            at.memory[self].rate = rate
        else:
            inner_of(at.model.optimizer).learning_rate = rate


class Bypassed(Deviation):
    """Weights are assigned without the optimizer, which does not step.

    Attributes:
        rule: `gradient` for the gradient times a rate; `optimizer` for what the optimizer would have made of
            it, `bare` for the same without weight decay, clipping, averages and constraints.
        rates: The rates of the training steps; one for all where there is one.
        slots: Whether the optimizer's slots move all the same.
        counts: Whether its steps are counted.
    """

    cause: ClassVar[str] = "optimizer-bypassed"
    stage: ClassVar[str] = "update"
    kind: Literal["bypassed"] = "bypassed"
    rule: Literal["gradient", "optimizer", "bare"]
    rates: tuple[float, ...] = ()
    slots: bool = False
    counts: bool = False

    def apply(self, apply: Apply, at: At) -> Apply:
        """Assign."""

        def assign(optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
            if self.rule == "gradient":
                count = at.memory["bypassed"] = at.memory.get("bypassed", -1) + 1
                rate = self.rates[min(count, len(self.rates) - 1)]
                for gradient, variable in zip(gradients, variables, strict=True):
                    if gradient is not None:
                        variable.assign_sub(ops.cast(tf.convert_to_tensor(gradient) * rate, variable.dtype))
                return
            state = [
                (each, keras.ops.convert_to_numpy(each))
                for each in optimizer.variables
                if not (self.counts if each.path.endswith("iteration") else self.slots)
            ]
            constraints = [each.constraint for each in variables]
            if self.rule == "bare":
                names = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm")
                inner = inner_of(optimizer)
                kept = {name: getattr(inner, name) for name in names}
                for name in names:
                    setattr(inner, name, None)
                for each in variables:
                    each.constraint = None
            memory = at.memory.setdefault(self, {})
            for each, _ in state:
                if not self.slots and id(each) in memory:
                    each.assign(memory[id(each)])
            apply(optimizer, gradients, variables)
            for each, value in state:
                memory[id(each)] = keras.ops.convert_to_numpy(each)
                each.assign(value)
            if self.rule == "bare":
                for name, value in kept.items():
                    setattr(inner, name, value)
                for each, constraint in zip(variables, constraints, strict=True):
                    each.constraint = constraint

        return assign


class SeveralApplies(Deviation):
    """Gradients are applied in several calls, each of which counts as a step of the optimizer.

    Attributes:
        groups: The names of the variables of each call, in order; none where each call has all.
        calls: How many calls there are.
    """

    cause: ClassVar[str] = "multiple-applies"
    stage: ClassVar[str] = "update"
    kind: Literal["several-applies"] = "several-applies"
    groups: tuple[tuple[str, ...], ...] = ()
    calls: int = 1
    halves: bool = False
    """Whether calls with all variables share the gradient out."""
    parts: bool = False
    """Whether each call has a part of its own, as it was seen, which together are the gradient."""

    @property
    def share(self) -> float:
        """How much of its part a call applies."""
        return 1.0

    def apply(self, apply: Apply, at: At) -> Apply:
        """One call after the other."""

        def several(optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
            names = at.memory["names"]
            optimizer.build(at.model.trainable_variables)
            pairs = list(zip(gradients, variables, strict=True))
            if self.parts:
                for part in self._seen(pairs, at):
                    apply(optimizer, part, variables)
                return
            for group in self.groups or [tuple(names[id(v)] for v in variables)] * self.calls:
                here = [(g, v) for g, v in pairs if names[id(v)] in group]
                share = 1.0 / self.calls if self.halves and not self.groups else 1.0
                given = [g if share == 1.0 or g is None else tf.convert_to_tensor(g) * share for g, _ in here]
                if here:
                    apply(optimizer, given, [v for _, v in here])

        return several

    def _seen(self, pairs: Sequence[tuple[Any, Any]], at: At) -> list[list[Any]]:
        """The parts of each call; the whole in one where they do not make it up."""
        whole = [None if g is None else np.asarray(tf.convert_to_tensor(g)) for g, _ in pairs]
        names = [at.memory["names"][id(variable)] for _, variable in pairs]
        parts = [[at.memory["applied"](name, call, at) for name in names] for call in range(self.calls)]
        for gradient, *each in zip(whole, *parts, strict=True):
            given = [part for part in each if part is not None]
            if gradient is None or not given:
                continue
            scale = float(np.abs(gradient).max()) + float(max(np.abs(part).max() for part in given))
            if np.abs(sum(given) * self.share - gradient).max() > 1e-4 * scale:
                return [[g for g, _ in pairs]]
        return [
            [
                np.zeros_like(gradient) if part is None and gradient is not None else part
                for part, gradient in zip(each, whole, strict=True)
            ]
            for each in parts
        ]


class MicroBatches(SeveralApplies):
    """Each call has the gradient of a part of the batch, and the optimizer applies the mean of all calls."""

    cause: ClassVar[str] = "gradient-accumulation"
    kind: Literal["micro-batches"] = "micro-batches"  # type: ignore[assignment]
    parts: bool = True

    @property
    def share(self) -> float:
        """The optimizer divides by the number of calls."""
        return 1.0 / self.calls

    def begins(self, at: At) -> None:
        """Step with an optimizer that accumulates."""
        inner = inner_of(at.model.optimizer)
        config = {**inner.get_config(), "gradient_accumulation_steps": self.calls}
        step_with(type(inner).from_config(config), at)


class Accumulation(Deviation):
    """Gradients of several steps are applied at once.

    Attributes:
        steps: Of how many.
        mean: Whether their mean is applied; or their sum.
    """

    cause: ClassVar[str] = "gradient-accumulation"
    stage: ClassVar[str] = "update"
    kind: Literal["accumulation"] = "accumulation"
    steps: int
    mean: bool

    def begins(self, at: At) -> None:
        """The optimizer itself does not."""
        optimizer = inner_of(at.model.optimizer)
        own = optimizer.gradient_accumulation_steps
        if own:
            optimizer.gradient_accumulation_steps = None
            at.memory.setdefault("undo", []).append(
                lambda: setattr(optimizer, "gradient_accumulation_steps", own)
            )

    def apply(self, apply: Apply, at: At) -> Apply:
        """Keep, and apply in the last step of each group."""

        def accumulate(optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
            kept = at.memory.setdefault(self, [])
            kept.append([None if g is None else tf.convert_to_tensor(g) for g in gradients])
            if len(kept) < self.steps:
                return
            share = 1.0 / self.steps if self.mean else 1.0
            total = [None if each[0] is None else sum(each) * share for each in zip(*kept, strict=True)]
            kept.clear()
            apply(optimizer, total, variables)

        return accumulate


class NotFinalized(Deviation):
    """Averaged weights are not copied into the model when training ends."""

    cause: ClassVar[str] = "ema-not-finalized"
    stage: ClassVar[str] = "update"
    kind: Literal["not-finalized"] = "not-finalized"

    def finalizes(self, at: At) -> bool:
        """Not."""
        return False
