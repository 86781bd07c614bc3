"""Keras's own losses, metrics, optimizers and callbacks by name, as Keras or people spell them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class KerasNames:
    """The public classes of one Keras module.

    Attributes:
        module: `keras.losses`, `keras.metrics`, `keras.optimizers`, its `schedules` or `keras.callbacks`.
        base: The class they derive from.
    """

    module: ModuleType
    base: type

    def find(self, name: str) -> type | None:
        """The class of a name: `MeanSquaredError`, `mean_squared_error` or `mse`; None for none."""
        classes = self._classes()
        if (found := classes.get(_folded(name))) is not None:
            return found
        try:
            # Short names are Keras's own table, which answers with a function or an instance.
            answer = self.module.get(name.lower())
        except (AttributeError, ValueError, TypeError):
            return None
        long_name = getattr(answer, "__name__", type(answer).__name__)
        return classes.get(_folded(long_name))

    def names(self) -> list[str]:
        """Their names as Keras's documentation writes them in strings: `mean_squared_error`."""
        return sorted(_snake_case(each.__name__) for each in set(self._classes().values()))

    def _classes(self) -> dict[str, type]:
        return {
            _folded(name): value
            for name, value in vars(self.module).items()
            if isinstance(value, type)
            and issubclass(value, self.base)
            and value is not self.base
            and not name.startswith("_")
        }


def _folded(name: str) -> str:
    return re.sub(r"[-_\s]", "", name).casefold()


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
