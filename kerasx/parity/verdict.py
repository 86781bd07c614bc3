"""Turns the differences between two sides into a verdict that says where they part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kerasx.parity.judge import DIGEST, RANDOM_NUMBERS, RETURNED, SLOT, STEPS, Difference
from kerasx.parity.records import STAGES
from kerasx.parity.result import Pair, Side
from kerasx.plain import shown_apart

# What training goes on from: a difference in it is not one of the report alone.
_TRAINING = ("data", "initial-state", "forward", "update", "state")

_OTHER_OPTIMIZER = (
    "The same weights and reports, to the bit. Only the state of the model's own optimizer differs, as it"
    " does where another optimizer stepped in its place."
)


def judged(
    a: Side, b: Side, found: Sequence[Difference], *, stepped: bool = True, weighed: bool = True
) -> Pair:
    """The verdict on two sides whose ends are not the same bits.

    Args:
        a: One side.
        b: The other.
        found: Differences of their first steps, in order.
        stepped: Whether there were first steps to compare.
        weighed: Whether the weights that they end with could be compared, beyond their digests.
    """
    if not found and a.weights_digest is None:
        return Pair(a.name, b.name, "identical", said="The same bits in the steps that were traced.")
    if a.weights_digest == b.weights_digest and all(
        each.quantity.startswith(SLOT) and not each.decides for each in found
    ):
        return Pair(a.name, b.name, "identical", said=_OTHER_OPTIMIZER)
    beyond = [each for each in found if each.beyond]
    deciding = [each for each in beyond if each.decides]
    if not deciding:
        nearest = max(
            (each for each in found if each.relative is not None and each.decides),
            key=_nearness,
            default=None,
        )
        said = _agreement(nearest) + _by_batch(beyond)
        return Pair(a.name, b.name, "equivalent", None, nearest, tuple(found), said)
    first, here = where_they_part(beyond)
    affects = affected(deciding)
    if not weighed and first.kind == "end" and a.weights_digest != b.weights_digest:
        affects = "training"  # of the weights nothing is known but that they are others
    said = _said(a.name, b.name, first, here, affects, stepped=stepped)
    if (a.execution == "eager") != (b.execution == "eager") and _of_one_output(first):
        said += (
            " Keras weighs the loss of one output by the rows of a batch where it knows their number, as it"
            " does eagerly, and takes the mean of batches in a graph."
        )
    if a.weights_digest is not None and a.weights_digest == b.weights_digest:
        said += " The trainings end with the same weights, to the bit."
    return Pair(a.name, b.name, "diverged", affects, first, tuple(here), said)


def where_they_part(beyond: Sequence[Difference]) -> tuple[Difference, list[Difference]]:
    """The first difference of the first step that does something else, and all that differs in that step.

    Args:
        beyond: Differences beyond noise, in order, of which one decides at least.
    """
    deciding = next(each for each in beyond if each.decides)
    place = _place(deciding)
    # A quantity that differed in a step that agreed otherwise says nothing about the step that does not.
    harmless = {each.quantity for each in beyond[: beyond.index(deciding)] if _place(each) != place}
    here = [each for each in beyond if _place(each) == place]
    telling = [each for each in here if each.quantity not in harmless] or here
    return next((each for each in telling if not _is_idle(each, here)), telling[0]), here


def _is_idle(difference: Difference, here: Sequence[Difference]) -> bool:
    """Whether it comes to nothing in its step, so that another difference is where two part.

    A training flag of a model without dropout; other inputs that give the same outputs; gradients that were
    asked for of variables that are changed alike.
    """
    if difference.decides:
        return False
    others = [each for each in here if each.quantity != difference.quantity]
    if difference.quantity == "training flag":
        return not any(each.stage in ("forward", "state") for each in others)
    if difference.quantity.startswith("inputs of"):
        return not any(each.quantity.startswith(("batch x", "outputs")) for each in others)
    if difference.quantity == "trained variables":
        one, other = (set(str(text).split(", ")) for text in (difference.a, difference.b))
        return not any(each.quantity.removeprefix("change of ") in one ^ other for each in others)
    return False


def _of_one_output(difference: Difference) -> bool:
    """Whether it is the reported loss of one output among several."""
    reported = difference.stage == "report" and difference.quantity.endswith("_loss")
    return reported and not difference.quantity.endswith(" val_loss")


def _place(difference: Difference) -> tuple[int, int | None, str]:
    return difference.epoch, difference.step, difference.kind


def affected(deciding: Sequence[Difference]) -> str:
    """Whether differences that decide are ones of the training, or of the report alone."""
    if any(each.stage in _TRAINING for each in deciding):
        return "training"
    # Gradients that differ where no update does are made up for, as by another learning rate.
    return "report" if any(each.stage == "report" for each in deciding) else "training"


def _nearness(difference: Difference) -> float:
    """How near a difference comes to being more than noise."""
    return (difference.relative or 0.0) / max(difference.noise or 0.0, float(np.finfo(np.float32).eps))


def _agreement(nearest: Difference | None) -> str:
    if nearest is None or nearest.relative is None:
        return "Not the same bits, and in the first steps no difference beyond rounding."
    by_noise = ", and noise in it was not measured" if nearest.noise is None else ""
    return (
        f"Not the same bits, and no difference beyond rounding. {nearest.quantity} comes nearest to one: it"
        f" differs by {nearest.relative:.1e} of its largest value"
        f"{by_noise or f', and by {nearest.noise:.1e} by noise'}."
    )


def _by_batch(beyond: Sequence[Difference]) -> str:
    """What batches return otherwise, where nothing that is reported comes of it."""
    names = dict.fromkeys(each.quantity.removeprefix(RETURNED) for each in beyond if _is_returned(each))
    if not names:
        return ""
    return (
        f" Batches return another {' and '.join(names)}, which callbacks see after each batch; what an epoch"
        " reports agrees."
    )


def _is_returned(difference: Difference) -> bool:
    return difference.quantity.startswith(RETURNED) and not difference.quantity.endswith(" names")


def _said(
    a: str, b: str, first: Difference, here: Sequence[Difference], affects: str, *, stepped: bool
) -> str:
    ours, theirs = shown_apart(first.a, first.b)
    if first.quantity == RANDOM_NUMBERS:
        return (
            "XLA draws other random numbers than plain TensorFlow (dropout masks, noise), and that is all"
            " that differs: with rates of 0 every step agrees."
        )
    if first.quantity == DIGEST:
        return f"They were trained on other data: its digest is {ours} in {a} and {theirs} in {b}."
    if first.kind == "end" and first.stage == "data":
        return f"They train for {ours} epochs in {a} and {theirs} in {b}."
    if first.kind == "end" and not stepped:
        return (
            f"In epoch {first.epoch} {first.quantity} is {ours} in {a} and"
            f" {theirs} in {b}, as their records say: steps of both cannot be seen."
        )
    if first.kind == "end" and first.stage == "report":
        return (
            f"The first steps agree. In epoch {first.epoch} {first.quantity} is {ours} in {a}"
            f" and {theirs} in {b}: something wakes later than in the first steps."
        )
    if first.kind == "end":
        return (
            f"The first steps agree, the ends do not: {first.quantity} differs by {_share(first.relative)},"
            f" and by {_share(first.noise)} through noise. Something wakes later than in these steps."
        )
    where = f"epoch {first.epoch}" + ("" if first.step is None else f", step {first.step}")
    kind = " of the evaluation" if first.kind == "evaluation" else ""
    if first.quantity == STEPS:
        return (
            f"They part at stage {first.stage}, {where}{kind}: of the steps of this epoch that were looked at"
            f" {a} takes {ours} and {b} takes {theirs}."
        )
    text = f"They part at stage {first.stage}, {where}{kind}: {first.quantity}"
    text += f" is {ours} in {a} and {theirs} in {b}"
    if first.ratio is not None and abs(first.ratio - 1) > 1e-3:
        larger, ratio = (a, first.ratio) if abs(first.ratio) >= 1 else (b, 1 / first.ratio)
        text += f": {ratio:.3f} times larger in {larger}"
    text += "."
    if affects == "report":
        differing = {each.stage for each in here}
        if differing & {"loss", "gradient"}:
            named = " and ".join(
                name for name, stage in (("losses", "loss"), ("gradients", "gradient")) if stage in differing
            )
            text += f" {named.capitalize()} differ; updates agree."
        else:
            text += " The training is the same; what is reported differs."
    return text


def _share(value: float | None) -> str:
    return "without bound" if value is None else f"{value:.1e} of its largest value"


def stages(found: Sequence[Difference]) -> dict[str, Difference]:
    """For each stage the difference that is furthest beyond noise, in the order of stages."""
    worst: dict[str, Difference] = {}
    for stage in STAGES:
        here = [each for each in found if each.stage == stage]
        if here:
            worst[stage] = max(here, key=lambda each: (each.beyond, each.relative or 0.0))
    return worst
