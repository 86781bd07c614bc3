"""What a loss is made of: a term for each output, from the row values to one number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import keras
from keras import ops

Prepare = Callable[[Any, Any], tuple[Any, Any]]
Normalization = Literal["keras", "count", "weights"]


@dataclass(frozen=True)
class Term:
    """The loss of one output.

    Attributes:
        name: Of the output; empty for the only one.
        criterion: A Keras loss, whose `call` gives the values of rows.
        y_true: Labels.
        y_pred: Outputs.
        mask: Keras's mask of the outputs; None for none.
        sample_weight: Weights of rows, or of parts of rows; None for none.
        weight: The factor of this output in the whole.
        normalization: What the sum of weighted values is divided by: as Keras does; by the number of values,
            masked ones included; or by the sum of weights.
        factor: What the reduced value is multiplied by.
        dtype: That of the computation; None for the criterion's.
        prepare: Changes labels and outputs before the criterion sees them.
        values: Gives row values in the place of the criterion's `call`.
    """

    name: str
    criterion: keras.losses.Loss
    y_true: Any
    y_pred: Any
    mask: Any = None
    sample_weight: Any = None
    weight: float = 1.0
    normalization: Normalization = "keras"
    factor: float = 1.0
    dtype: str | None = None
    prepare: Prepare | None = None
    values: Callable[[Any, Any], Any] | None = None

    def row_values(self) -> Any:
        """The values before they are weighted and reduced."""
        dtype = self.dtype or self.criterion.dtype
        y_true, y_pred = (
            keras.tree.map_structure(lambda leaf: ops.convert_to_tensor(leaf, dtype=dtype), part)
            for part in (self.y_true, self.y_pred)
        )
        if self.prepare is not None:
            y_true, y_pred = self.prepare(y_true, y_pred)
        return (self.values or self.criterion.call)(y_true, y_pred)

    def unweighted(self) -> Any:
        """The reduced value, before the output's factor: a scalar."""
        values = self.row_values()
        values = ops.convert_to_tensor(values, dtype=self.dtype or self.criterion.dtype)
        weights = self._weights(values)
        if weights is not None:
            values, weights = _same_rank(values, weights)
            values = values * weights
        reduction = self.criterion.reduction
        if reduction in (None, "none") or len(values.shape) == 0:
            return values * self.factor
        total = ops.sum(values)
        if reduction == "sum":
            return total * self.factor
        by_weights = self.normalization == "weights" or (
            self.normalization == "keras" and reduction == "mean_with_sample_weight"
        )
        if by_weights and weights is not None:
            divisor = ops.sum(weights)
        else:
            divisor = ops.cast(ops.size(values), total.dtype)
        return ops.cast(total / ops.cast(divisor, total.dtype), "float32") * self.factor

    def value(self) -> Any:
        """The term as it is added to the others: a float32 scalar."""
        return ops.cast(self.unweighted(), "float32") * self.weight

    def _weights(self, values: Any) -> Any:
        """Sample weights and mask as one; under a mean Keras divides by what the mask leaves."""
        weights = None if self.sample_weight is None else ops.cast(self.sample_weight, values.dtype)
        if self.mask is None:
            return weights
        mask = ops.cast(self.mask, values.dtype)
        if self.normalization == "keras" and self.criterion.reduction in ("mean", "sum_over_batch_size"):
            mask = mask * (ops.cast(ops.size(mask), values.dtype) / ops.maximum(ops.sum(mask), 1e-12))
        if weights is None:
            return mask
        mask, weights = _same_rank(mask, weights)
        return mask * weights


class _Function(keras.losses.Loss):
    """A loss given as a function, which Keras calls with labels and outputs of one rank."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        super().__init__(name=getattr(function, "__name__", "loss"))
        self._function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self._function(*_same_rank(y_true, y_pred))


def mask_of(tensor: Any) -> Any:
    """Keras's mask of a tensor; None for none.

    Keras hands it on as a private attribute of the tensor; there is no public way to it, and it is read
    here only.
    """
    return getattr(tensor, "_keras_mask", None)


def criterion_of(identifier: Any) -> keras.losses.Loss:
    """The loss that `compile` takes a name, a function or an object for."""
    found = keras.losses.get(identifier)
    return found if isinstance(found, keras.losses.Loss) else _Function(found)


def loss_weights_of(model: keras.Model) -> Any:
    """The factors of outputs' losses that a model was compiled with; None where it cannot tell."""
    try:
        return (model.get_compile_config() or {}).get("loss_weights")
    except Exception:  # objects that Keras cannot write down
        return None


def terms_of(
    model: keras.Model, y: Any, y_pred: Any, sample_weight: Any, weights: Any = None
) -> list[Term] | None:
    """The terms of a compiled model's loss; None where its structure is none that is known here.

    Args:
        model: Compiled.
        y: Labels, one tensor or a structure of them.
        y_pred: Outputs in the same manner.
        sample_weight: Weights in the same manner, or one tensor for all outputs; None for none.
        weights: As of `loss_weights_of`.
    """
    loss = model.loss
    if loss is None:
        return None
    if not isinstance(y_pred, dict | list | tuple):
        if isinstance(loss, Mapping) and len(loss) == 1:
            loss = next(iter(loss.values()))
        if isinstance(loss, list | tuple) and len(loss) == 1:
            loss = loss[0]
        if isinstance(loss, list | tuple) and not any(
            isinstance(each, Mapping | list | tuple) for each in loss
        ):
            # All are computed for the one output, and the first is the loss.
            factors = [next(iter(_flat(weights)), 1.0), *(0.0 for _ in loss[1:])]
            return [
                _term(criterion_of(one).name, one, y, y_pred, sample_weight, factor)
                for one, factor in zip(loss, factors, strict=True)
            ]
        if isinstance(loss, Mapping | list | tuple):
            return None
        return [_term("", loss, y, y_pred, sample_weight, next(iter(_flat(weights)), 1.0))]
    keys = list(y_pred) if isinstance(y_pred, dict) else list(range(len(y_pred)))
    names = _names(model, y_pred, keys)
    terms = []
    for place, key in enumerate(keys):
        name = names[place]
        one = _part(loss, key, name, place)
        if one is None:
            continue
        labels = _part(y, key, name, place)
        weight = _part(weights, key, name, place)
        given = (
            _part(sample_weight, key, name, place)
            if isinstance(sample_weight, dict | list | tuple)
            else sample_weight
        )
        terms.append(_term(name, one, labels, y_pred[key], given, 1.0 if weight is None else weight))
    return terms


def _term(name: str, loss: Any, y: Any, y_pred: Any, sample_weight: Any, weight: Any) -> Term:
    return Term(
        name,
        criterion_of(loss),
        y,
        y_pred,
        mask=mask_of(y_pred),
        sample_weight=sample_weight,
        weight=float(weight),
    )


def _names(model: keras.Model, y_pred: Any, keys: list[Any]) -> list[str]:
    if isinstance(y_pred, dict):
        return [str(key) for key in keys]
    own = list(getattr(model, "output_names", None) or [])
    return own if len(own) == len(keys) else [str(key) for key in keys]


def _part(structure: Any, key: Any, name: str, place: int) -> Any:
    """What a structure holds for an output, by its key, name or place; one thing is for all."""
    if isinstance(structure, Mapping):
        return structure.get(key, structure.get(name))
    if isinstance(structure, list | tuple):
        return structure[place] if place < len(structure) else None
    return structure


def _flat(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, list | tuple):
        return list(value)
    return [] if value is None else [value]


def _same_rank(a: Any, b: Any) -> tuple[Any, Any]:
    """As Keras lines up labels with outputs, and weights with values: a last axis of one is added or left
    out."""
    if len(a.shape) == len(b.shape) + 1 and a.shape[-1] == 1:
        return (a, ops.expand_dims(b, -1)) if len(b.shape) == 1 else (ops.squeeze(a, -1), b)
    if len(b.shape) == len(a.shape) + 1 and b.shape[-1] == 1:
        return (ops.expand_dims(a, -1), b) if len(a.shape) == 1 else (a, ops.squeeze(b, -1))
    return a, b
