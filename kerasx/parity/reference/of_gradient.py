"""Deviations in gradients, before they are applied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import tensorflow as tf
from keras import ops

from kerasx.parity.reference.deviation import Apply, At, Deviation
from kerasx.parity.reference.optimizers import inner_of, scale_of

By = Literal["global-norm", "norm", "value"]


class UnscaledLoss(Deviation):
    """Loss scaling is left out, and the optimizer divides by the scale all the same."""

    cause: ClassVar[str] = "loss-scale"
    stage: ClassVar[str] = "gradient"
    kind: Literal["unscaled-loss"] = "unscaled-loss"

    def scales(self, at: At) -> bool:
        """Not."""
        return False


class ScaleRemovedTwice(Deviation):
    """Gradients are divided by the scale of the loss before the optimizer does that, too."""

    cause: ClassVar[str] = "loss-scale"
    stage: ClassVar[str] = "gradient"
    kind: Literal["scale-removed-twice"] = "scale-removed-twice"

    def gradients(self, gradients: list[Any], variables: list[Any], at: At) -> list[Any]:
        """Divide."""
        scale = scale_of(at.model.optimizer)
        return [None if each is None else ops.divide(tf.convert_to_tensor(each), scale) for each in gradients]


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
        scale = scale_of(at.model.optimizer) if self.unscales else 1.0
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
        optimizer = inner_of(at.model.optimizer)
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
