"""Says of deviations what a colleague would say: what a side does, with numbers, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerasx.parity.explain.catalogue import CAUSES
from kerasx.parity.explain.sentences import doing
from kerasx.parity.reference import of_loss
from kerasx.parity.reference.deviation import Deviation
from kerasx.parity.reference.of_metrics import Measured

# Causes by which the gradient is larger or smaller by a number.
_SCALING = ("loss-reduction", "loss-scale", "loss-batch-divisor", "replica-scale")


def sentence(side: str, deviations: Sequence[Deviation], criterion: str) -> str:
    """What a side does otherwise, in one sentence.

    Args:
        side: Its name.
        deviations: Those of one cause.
        criterion: What the loss is called.
    """
    first = deviations[0]
    where = {
        "evaluation": "in the evaluation ",
        "both": "in training and evaluation ",
        "training": "",
    }[first.scope]
    return f"`{side}` {where}{doing(first, criterion)}."


def factor_of(deviations: Sequence[Deviation]) -> float | None:
    """The one number of a cause, where it has one."""
    first = deviations[0]
    if isinstance(first, of_loss.Reduction):
        return first.factor
    for name in ("divisor", "times", "weight", "limit", "ratio", "factor", "steps", "calls"):
        value = getattr(first, name, None)
        if isinstance(value, int | float):
            return float(value)
    rates: Sequence[float] = getattr(first, "rates", [])
    return float(rates[0]) if len(rates) == 1 else None


def change_for(cause: str, deviations: Sequence[Deviation]) -> tuple[str, str]:
    """What to change, and a line of code of it.

    Args:
        cause: What is named.
        deviations: Those of the cause.
    """
    first = deviations[0]
    if isinstance(first, Measured) and first.weighted is not None:
        return (
            "Weigh the same metrics on both sides: Keras gives sample weights to `weighted_metrics` alone.",
            "return model.compute_metrics(x, y, y_pred, sample_weight)  # gives them to those that it is to",
        )
    return CAUSES[cause].fix, CAUSES[cause].code


def consequences(cause: str, affects: str, optimizer: Any) -> str:
    """What will and will not change once it is mended."""
    kind = type(getattr(optimizer, "inner_optimizer", optimizer)).__name__
    if affects == "report":
        return "The training is the same with and without it: only what is reported changes."
    if cause in _SCALING:
        if kind == "SGD":
            return (
                "With plain SGD it does what another learning rate would do; with Adam or RMSprop, which"
                " divide by the size of gradients, the weights would hardly show it."
            )
        return (
            f"{kind} divides by the size of gradients, so that the weights hardly show it: the loss does, and"
            " so do weight decay, clipping and epsilon."
        )
    return "Weights change with it from the first step at which it wakes."
