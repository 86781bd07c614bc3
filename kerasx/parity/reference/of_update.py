"""Deviations in gradients and in how they are applied."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import keras
import tensorflow as tf
from keras import ops

from kerasx.parity.reference.deviation import Apply, At, Deviation

By = Literal["global-norm", "norm", "value"]


class UnscaledLoss(Deviation):
    """Loss scaling is left out, and the optimizer divides by the scale all the same."""

    cause: ClassVar[str] = "loss-scale"
    stage: ClassVar[str] = "gradient"
    kind: Literal["unscaled-loss"] = "unscaled-loss"

    def scales(self, at: At) -> bool:
        """Not."""
        return False


class Clip(Deviation):
    """Gradients are clipped before they are applied.

    Attributes:
        by: The norm of all gradients, that of each variable's, or the value of each element.
        limit: The norm or value.
        unscales: Whether under loss scaling it is done to the gradients without their scale.
    """

    cause: ClassVar[str] = "gradient-clip"
    stage: ClassVar[str] = "gradient"
    kind: Literal["clip"] = "clip"
    by: By
    limit: float
    unscales: bool = False

    def gradients(self, gradients: list[Any], variables: list[Any], at: At) -> list[Any]:
        """Clip them."""
        known = [each for each in gradients if each is not None]
        scale = _scale(at.model.optimizer) if self.unscales else 1.0
        known = [tf.convert_to_tensor(each) / scale for each in known]
        if self.by == "global-norm":
            known, _ = tf.clip_by_global_norm(known, self.limit)
        elif self.by == "norm":
            known = [tf.clip_by_norm(each, self.limit) for each in known]
        else:
            known = [tf.clip_by_value(each, -self.limit, self.limit) for each in known]
        clipped = iter([each * scale for each in known])
        return [None if each is None else next(clipped) for each in gradients]


class OptimizerClip(Deviation):
    """The optimizer clips otherwise than the experiment's, or not at all.

    Attributes:
        clipnorm: Its own setting of that name.
        clipvalue: The same.
        global_clipnorm: The same.
    """

    cause: ClassVar[str] = "gradient-clip"
    stage: ClassVar[str] = "gradient"
    kind: Literal["optimizer-clip"] = "optimizer-clip"
    clipnorm: float | None = None
    clipvalue: float | None = None
    global_clipnorm: float | None = None

    def begins(self, at: At) -> None:
        """Set them."""
        optimizer = _inner(at.model.optimizer)
        before = {name: getattr(optimizer, name) for name in ("clipnorm", "clipvalue", "global_clipnorm")}

        def undo() -> None:
            for name, value in before.items():
                setattr(optimizer, name, value)

        at.memory.setdefault("undo", []).append(undo)
        for name in before:
            setattr(optimizer, name, getattr(self, name))


class MissingGradients(Deviation):
    """Some variables get no gradient.

    Attributes:
        variables: Their names.
        skipped: Whether they are left out of the update; or get zeros.
    """

    cause: ClassVar[str] = "gradient-missing"
    stage: ClassVar[str] = "gradient"
    kind: Literal["missing-gradients"] = "missing-gradients"
    variables: tuple[str, ...]
    skipped: bool = True

    def gradients(self, gradients: list[Any], variables: list[Any], at: At) -> list[Any]:
        """None, or zeros, for these."""
        names = at.memory["names"]
        return [
            (None if self.skipped else ops.zeros_like(tf.convert_to_tensor(gradient)))
            if names[id(variable)] in self.variables
            else gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]

    def apply(self, apply: Apply, at: At) -> Apply:
        """Leave those out that have none."""

        def without(optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
            optimizer.build(at.model.trainable_variables)
            pairs = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
            apply(optimizer, [g for g, _ in pairs], [v for _, v in pairs])

        return without


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
        inner = _inner(at.model.optimizer)
        values = json.loads(self.settings)
        kind = getattr(keras.optimizers, self.optimizer) if self.optimizer else type(inner)
        config = values if kind is not type(inner) else {**inner.get_config(), **values}
        _step_with(kind.from_config(config), at)


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
        ratio: What the rates are of the experiment's, where that is one number.
    """

    cause: ClassVar[str] = "optimizer-config"
    stage: ClassVar[str] = "update"
    kind: Literal["learning-rates"] = "learning-rates"
    rates: tuple[float, ...]
    ratio: float | None = None

    def begins(self, at: At) -> None:
        """Step with an optimizer whose rate can be set."""
        inner = _inner(at.model.optimizer)
        rates = at.memory[self] = _Rates()
        _step_with(type(inner).from_config({**inner.get_config(), "learning_rate": rates}), at)

    def before(self, at: At) -> None:
        """Set the rate of the step."""
        count = at.memory["rates"] = at.memory.get("rates", -1) + 1
        at.memory[self].rate = self.rates[min(count, len(self.rates) - 1)]


class Bypassed(Deviation):
    """Weights are assigned without the optimizer, which does not step.

    Attributes:
        rule: `gradient` for the gradient times a rate; `optimizer` for what the optimizer would have made of
            it, `bare` for the same without weight decay, clipping, averages and constraints.
        rates: The rates of the training steps; one for all where there is one.
    """

    cause: ClassVar[str] = "optimizer-bypassed"
    stage: ClassVar[str] = "update"
    kind: Literal["bypassed"] = "bypassed"
    rule: Literal["gradient", "optimizer", "bare"]
    rates: tuple[float, ...] = ()

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
            state = [(each, keras.ops.convert_to_numpy(each)) for each in optimizer.variables]
            constraints = [each.constraint for each in variables]
            if self.rule == "bare":
                names = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm")
                inner = _inner(optimizer)
                kept = {name: getattr(inner, name) for name in names}
                for name in names:
                    setattr(inner, name, None)
                for each in variables:
                    each.constraint = None
            memory = at.memory.setdefault(self, {})
            for each, _ in state:
                if id(each) in memory:
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

    def apply(self, apply: Apply, at: At) -> Apply:
        """One call after the other."""

        def several(optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
            names = at.memory["names"]
            optimizer.build(at.model.trainable_variables)
            pairs = list(zip(gradients, variables, strict=True))
            for group in self.groups or [tuple(names[id(v)] for v in variables)] * self.calls:
                here = [(g, v) for g, v in pairs if names[id(v)] in group]
                share = 1.0 / self.calls if self.halves and not self.groups else 1.0
                given = [g if share == 1.0 or g is None else tf.convert_to_tensor(g) * share for g, _ in here]
                if here:
                    apply(optimizer, given, [v for _, v in here])

        return several


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
        optimizer = _inner(at.model.optimizer)
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


def _step_with(made: Any, at: At) -> None:
    """Have another optimizer step in this run, with the loss scaling of the one before."""
    own = at.model.optimizer
    if isinstance(own, keras.optimizers.LossScaleOptimizer):
        made = keras.optimizers.LossScaleOptimizer(
            made, initial_scale=own.initial_scale, dynamic_growth_steps=own.dynamic_growth_steps
        )
    made.build(at.model.trainable_variables)
    at.model.optimizer = made
    at.memory.setdefault("undo", []).append(lambda: setattr(at.model, "optimizer", own))


def _inner(optimizer: Any) -> Any:
    """The optimizer that steps, which one that scales losses wraps."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _scale(optimizer: Any) -> float:
    scale = getattr(optimizer, "dynamic_scale", None)
    return 1.0 if scale is None else float(keras.ops.convert_to_numpy(scale))
