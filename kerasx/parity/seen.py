"""What the seams have told of one step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras

from kerasx.parity.records import Array
from kerasx.parity.writing import same_leaves


@dataclass
class Forward:
    """One forward pass, of a model or of a single layer.

    Attributes:
        layer: What was called.
        inputs: With what.
        training: The flag that was passed by name.
        outputs: What came back.
        follows_gradient: Whether gradients had been taken in the step before.
        follows_update: Whether an optimizer had applied some.
    """

    layer: Any
    inputs: Any
    training: Any
    outputs: Any
    follows_gradient: bool
    follows_update: bool = False


@dataclass
class Seen:
    """What happened in one step, in order.

    Attributes:
        forwards: Forward passes.
        computed: The arguments and results of `compute_loss`.
        called: Loss objects with the outputs that they were given and what they gave.
        scaled: Losses, before and after an optimizer scaled them.
        targets: What gradients were taken of.
        taken: Gradients as tapes gave them, by variable.
        received: Gradients as optimizers received them, by variable.
        optimizers: Those that applied gradients.
        metrics: Metrics and what they were updated with.
        added: The sum of the losses that layers added.
        order: What followed on what.
        applies: The variables of each call that applied gradients.
    """

    forwards: list[Forward] = field(default_factory=list)
    computed: list[tuple[dict[str, Any], Any]] = field(default_factory=list)
    called: list[tuple[Any, Any, Any]] = field(default_factory=list)
    scaled: list[tuple[Any, Any]] = field(default_factory=list)
    targets: list[Any] = field(default_factory=list)
    taken: dict[str, list[Any]] = field(default_factory=dict)
    received: dict[str, list[Any]] = field(default_factory=dict)
    optimizers: list[Any] = field(default_factory=list)
    metrics: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    added: Array | None = None
    order: list[str] = field(default_factory=list)
    applies: list[list[str]] = field(default_factory=list)

    def forward_of_loss(self, model: keras.Model) -> Forward | None:
        """The forward pass that the loss is of: the last before gradients were taken whose outputs a loss was
        given, be it of the model or of what stands in for it, or the last of the model before that."""
        given = [arguments.get("y_pred") for arguments, _ in self.computed]
        given += [y_pred for _, y_pred, _ in self.called]
        before = [each for each in self.forwards if not each.follows_gradient]
        own = [each for each in before if each.layer is model]
        others = [each for each in before if each.layer is not model]
        for each in [*reversed(own), *reversed(others)]:
            if any(each.outputs is y_pred or same_leaves(each.outputs, y_pred) for y_pred in given):
                return each
        return own[-1] if own else None

    def over_batch(self, model: keras.Model, rows: int | None) -> list[Forward]:
        """That forward pass; or all that together go over the rows of the batch, each over a part of them."""
        of_loss = self.forward_of_loss(model)
        if of_loss is None:
            return []
        # What is gone over after an update is another batch.
        alike = [each for each in self.forwards if each.layer is of_loss.layer and not each.follows_update]
        sizes = [_rows(each.inputs) for each in alike]
        return alike if rows and len(alike) > 1 and rows not in sizes and sum(sizes) == rows else [of_loss]


def _rows(inputs: Any) -> int:
    shapes = [leaf.shape for leaf in keras.tree.flatten(inputs) if hasattr(leaf, "shape")]
    return int(shapes[0][0]) if shapes and len(shapes[0]) else 0
