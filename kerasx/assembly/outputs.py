"""Losses and metrics for each output of a model: which labels and outputs belong to which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kerasx.component import Component, Tree
from kerasx.data.signature import Signature, TensorInfo
from kerasx.errors import UsageError, suggestion


@dataclass(frozen=True)
class Outputs:
    """The outputs of a model and the labels they are compared with.

    Attributes:
        signature: Shapes of labels and outputs, each one tensor or a structure of them.
        names: What the model calls its outputs, in its order; empty where it does not.
    """

    signature: Signature
    names: tuple[str, ...] = ()

    @property
    def is_one(self) -> bool:
        """Whether there is a single output."""
        return isinstance(self.signature.outputs, TensorInfo)

    def part(self, key: str | int, what: str) -> Outputs:
        """One output by its name or number.

        Raises:
            UsageError: There is none; the message offers the nearest.
        """
        outputs, labels = self.signature.outputs, self.signature.labels
        names = self._names()
        if isinstance(key, int):
            index, name = key, names[key] if names else None
        elif key in names:
            index, name = names.index(key), key
        else:
            near = suggestion(key, names, what="outputs")
            raise UsageError(f"The {what} name an output `{key}`, which the model does not have. {near}")
        output = outputs[name] if isinstance(outputs, dict) else outputs[index]
        if isinstance(labels, dict):
            label = labels.get(name)
        elif isinstance(labels, list | tuple) and index < len(labels):
            label = labels[index]
        else:
            label = None
        return Outputs(Signature(self.signature.inputs, label, output))

    def parts(self) -> list[Outputs]:
        """All of several outputs."""
        outputs = self.signature.outputs
        keys = outputs if isinstance(outputs, dict) else range(len(outputs))
        return [self.part(key, "outputs") for key in keys]

    def _names(self) -> tuple[str, ...]:
        """The names by which outputs can be asked for, in the order of the outputs."""
        outputs = self.signature.outputs
        if isinstance(outputs, dict):
            return self.names if set(self.names) == set(outputs) else tuple(sorted(outputs))
        return self.names if len(self.names) == len(outputs) else ()


def outputs_of(model: Any, signature: Signature) -> Outputs:
    """The outputs of a model that was built for the signature's inputs."""
    return Outputs(signature, tuple(getattr(model, "output_names", None) or ()))


def for_outputs(
    tree: Tree | None, outputs: Outputs, make: Callable[[Component, Outputs], Any], what: str
) -> Any:
    """Make every component of a tree for the output that it stands for.

    Args:
        tree: One component, or a list or table with one or several for each output.
        outputs: Of the model.
        make: Called with a component and its output.
        what: `losses` or `metrics`, for messages.

    Returns:
        What was made, in the structure of the tree, as Keras's `compile` takes it.

    Raises:
        UsageError: An output is named that the model does not have.
    """
    if tree is None:
        return None
    if isinstance(tree, Component):
        return make(tree, outputs)
    number = 1 if outputs.is_one else len(outputs.signature.outputs)
    if tree and isinstance(tree, tuple) and number not in (1, len(tree)):
        raise UsageError(
            f"The {what} are a list of {len(tree)}, and the model has {number} outputs: give one for each, or"
            " a table by name."
        )
    items: Sequence[Any] = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree))
    made = {
        key: for_outputs(part, outputs if outputs.is_one else outputs.part(key, what), make, what)
        for key, part in items
    }
    return made if isinstance(tree, dict) else list(made.values())
