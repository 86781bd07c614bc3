"""What a step is given to learn: labels and outputs in the form in which a loss takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from kerasx.component import Component

CLASSES, VALUES, FEATURES = 4, 3, 8


@dataclass(frozen=True)
class Task:
    """Labels and outputs as one loss takes them.

    Attributes:
        form: `class numbers`, `one-hot`, `yes or no` or `values`.
        loss: The loss, as an experiment takes it.
        activation: Of the output layer.
        compiled: What the loss is called that the model is compiled with, where that one is used.
    """

    form: str
    loss: Any
    activation: str | None = None
    compiled: str | None = None

    @property
    def described(self) -> str:
        """In words."""
        if self.compiled is not None:
            return f"{self.compiled}, as the model is compiled"
        name = self.loss.get("name") if isinstance(self.loss, Mapping) else None
        if isinstance(self.loss, Component):
            name = self.loss.described
        on = {None: "linear outputs", "softmax": "softmax outputs", "sigmoid": "sigmoid outputs"}
        return f"{name} on {on[self.activation]}"

    @property
    def is_of_classes(self) -> bool:
        """Whether labels are numbers of classes, which class weights go by."""
        return self.form == "class numbers"

    def head(self, units: int | None = None, **options: Any) -> keras.layers.Layer:
        """An output layer.

        Args:
            units: How many outputs; those that the labels want where there is none.
        """
        wanted = {"class numbers": CLASSES, "one-hot": CLASSES, "yes or no": 1, "values": VALUES}[self.form]
        return layers.Dense(wanted if units is None else units, activation=self.activation, **options)

    def labels(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        """Labels `[*shape]` or `[*shape, outputs]`."""
        numbers = rng.integers(0, CLASSES, shape)
        if self.form == "class numbers":
            return numbers
        if self.form == "one-hot":
            return np.eye(CLASSES, dtype="float32")[numbers]
        if self.form == "yes or no":
            return (numbers[..., None] % 2).astype("float32")
        return rng.normal(size=(*shape, VALUES)).astype("float32")


def _of(form: str, loss: str, activation: str | None, **options: Any) -> Task:
    return Task(form, {"name": loss, **options}, activation)


# The first is for a step that leaves the loss to the model; the others for one that computes its own.
TASKS = (
    _of("class numbers", "sparse_categorical_crossentropy", None, from_logits=True),
    _of("class numbers", "sparse_categorical_crossentropy", "softmax"),
    _of("one-hot", "categorical_crossentropy", "softmax"),
    _of("one-hot", "categorical_crossentropy", None, from_logits=True),
    _of("values", "mean_squared_error", None),
    _of("yes or no", "binary_crossentropy", "sigmoid"),
    _of("yes or no", "binary_crossentropy", None, from_logits=True),
    _of("values", "mean_absolute_error", None),
    _of("one-hot", "sum-squared-error", "softmax"),
)


# The first with another loss, which a step that computes the first one's by itself does not see.
OTHER = _of("class numbers", "sparse_categorical_crossentropy", None, from_logits=True, ignore_class=0)


def tasks_for(loss: Component) -> tuple[Task, ...]:
    """The tasks that a loss may be for, the likeliest first."""
    name = (loss.name or "").replace("_", "").lower()
    logits = bool(loss.options.get("from_logits"))
    softmax, sigmoid = (None, None) if logits else ("softmax", "sigmoid")
    if "sparsecategorical" in name:
        return (Task("class numbers", loss, softmax),)
    if "binary" in name:
        return (Task("yes or no", loss, sigmoid),)
    if "hinge" in name and "categorical" not in name:
        return (Task("yes or no", loss, None),)
    if any(part in name for part in ("categorical", "kl", "sumsquared")):
        return (Task("one-hot", loss, softmax),)
    if loss.name is not None and ":" not in loss.name:
        return (Task("values", loss, None),)
    return (
        Task("values", loss, None),
        Task("class numbers", loss, None),
        Task("one-hot", loss, "softmax"),
        Task("yes or no", loss, "sigmoid"),
    )
