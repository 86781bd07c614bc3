"""What scenarios are made on: a model and its rows, as the step that is checked takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from kerasx.parity.check.idioms import Idiom
from kerasx.parity.check.tasks import FEATURES, Task

BATCH, FULL, SHORT = 8, 48, 44  # rows of a batch, of six whole batches, and of five and a half
VALIDATION = 16

Fields = dict[str, Any]


class NotApplicableError(Exception):
    """A scenario does not apply, and why."""


@dataclass(frozen=True)
class Ground:
    """What scenarios are made on.

    Attributes:
        task: Labels, outputs and loss.
        make: Makes a model of inputs and outputs, of the class that is checked where it is one.
        own: Makes the model that is checked, on whose own architecture scenarios have to be; None for any.
        rows: Its rows `(x, y)`, given a number of them.
        idioms: Those of Keras 2 in its class.
    """

    task: Task
    make: Callable[[Any, Any], keras.Model]
    own: Callable[[], keras.Model] | None = None
    rows: Callable[[int], tuple[Any, Any]] | None = None
    idioms: tuple[Idiom, ...] = ()

    def model(self, hidden: Callable[[Any], Any], head: Callable[[Any], Any] | None = None) -> Any:
        """A builder of a model with some hidden layers, or of the one that is checked.

        Args:
            hidden: Applies them.
            head: Applies the output layers; the one that labels want where there is none.
        """
        if self.own is not None:
            raise NotApplicableError("needs another architecture than the model's own")

        def build() -> keras.Model:
            inputs = keras.Input((FEATURES,), name="rows")
            outputs = (head or self.task.head())(hidden(inputs))
            return self.make(inputs, outputs)

        return build

    def plain_model(self) -> Any:
        """A builder of the simplest one, or of the one that is checked."""
        return self.own or self.model(hidden_layer)

    def data(self, rows: int) -> tuple[Any, Any]:
        """Rows `(x, y)` for the simplest model, or the one that is checked."""
        if self.rows is not None:
            return self.rows(rows)
        rng = np.random.default_rng(rows)
        return rng.normal(size=(rows, FEATURES)).astype("float32"), self.task.labels((rows,), rng)

    def fields(self, **changed: Any) -> Fields:
        """Those of the plain scenario, some of them changed."""
        plain = {
            "model": None,
            "dataset": (self.data(FULL), self.data(VALIDATION)),
            "loss": self.task.loss,
            "metrics": (),
            "optimizer": {"name": "sgd", "learning_rate": 0.05},
            "epochs": 2,
            "batch_size": BATCH,
        } | changed
        plain["model"] = plain["model"] or self.plain_model()
        return {name: value for name, value in plain.items() if value is not None}


def hidden_layer(x: Any) -> Any:
    """The hidden layer of the simplest model."""
    return layers.Dense(8, activation="tanh")(x)
