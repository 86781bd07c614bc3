"""What the variables that a step trains are called, so that names of two sides and of two steps compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras

from kerasx.parity.state import named_variables, renamed


class Names:
    """The names of a model's variables and of others that a step brings.

    Others are numbered by Keras as the process goes, anew in each step that makes a clone: they are called
    what the model's are called where they are of a model like it, and else by numbers that begin anew.

    Args:
        model: The model.
        given: What its variables are called; None for its own names of them.
    """

    def __init__(self, model: keras.Model, given: Sequence[str]) -> None:
        named = named_variables(model, given)
        self._own = {id(each): name for name, var in named for each in (var, var.value)}
        self._trainable = {self._own[id(variable)] for variable in model.trainable_variables}
        # With the variables, whose identities must not pass to others meanwhile.
        self._others: dict[int, tuple[str, Any]] = {}

    def begin(self) -> None:
        """Begin a step."""
        self._others = {}

    def of(self, variables: Sequence[Any]) -> list[str]:
        """The names of variables that are used together."""
        known = {**self._own, **{place: name for place, (name, _) in self._others.items()}}
        strange = [variable for variable in variables if id(variable) not in known]
        for variable, name in zip(strange, self._called(strange), strict=True):
            known[id(variable)] = name
            self._others[id(variable)] = (name, variable)
        return [known[id(variable)] for variable in variables]

    def trained(self, gradients: Mapping[str, Iterable[Any]]) -> list[str]:
        """The variables that are trained: the model's that can be, and what else there is a gradient of.

        Args:
            gradients: By variable, those that were asked for; None where the loss does not depend on it.
        """
        return [
            name
            for name, each in gradients.items()
            if name in self._trainable or any(gradient is not None for gradient in each)
        ]

    def _called(self, variables: Sequence[Any]) -> list[str]:
        paths = [str(getattr(each, "path", getattr(each, "name", "?"))) for each in variables]
        whole, within = renamed(paths), renamed([path.partition("/")[2] or path for path in paths])
        # The name of a model stands before the names of its layers in some, and not in others.
        return within if set(within) <= set(self._own.values()) else whole
