"""Other losses of Keras that a side may compute, their parameters estimated."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

from kerasx.parity.explain.numbers import as_written
from kerasx.parity.explain.samples import Sample, applied
from kerasx.parity.reference.deviation import Scope
from kerasx.parity.reference.objective import Term
from kerasx.parity.reference.of_criterion import Encoded, OtherCriterion
from kerasx.parity.reference.of_loss import OfTerms


def criteria(sample: Sample, term: Term, scope: Scope, output: str | None) -> list[OfTerms]:
    """Other losses of Keras for the labels and outputs of a term, their parameters estimated."""
    shape = getattr(term.y_pred, "shape", ())
    if not shape:
        return []
    classes = shape[-1]
    labels = len(getattr(term.y_true, "shape", ())) == len(shape) and (term.y_true.shape[-1] == classes)
    made: list[OtherCriterion] = []

    def add(loss: str, *, logits: bool = False, **values: Any) -> None:
        options = values.pop("options", {})
        made.append(
            OtherCriterion(scope=scope, output=output, name=loss, options=options, logits=logits, **values)
        )

    encoding: Encoded = "as-given" if labels else "one-hot"
    own = type(term.criterion).__name__ + getattr(term.criterion, "name", "")
    is_binary = "binary" in own.lower()
    is_crossentropy = "crossentropy" in own.lower() or "entropy" in own.lower()
    if classes > 1:
        for from_logits, activation in itertools.product((True, False), ("none", "softmax", "sigmoid")):
            options = {"from_logits": from_logits}
            add("CategoricalCrossentropy", options=options, labels=encoding, activation=activation,
                logits=is_crossentropy and not is_binary and activation != "sigmoid")  # fmt: skip
            add("BinaryCrossentropy", options=options, labels=encoding, activation=activation,
                logits=is_binary)  # fmt: skip
            if not labels:
                # Of what is no probability it makes something else than the one for one-hot rows.
                add("SparseCategoricalCrossentropy", options=options, activation=activation,
                    logits=is_crossentropy and not is_binary and activation != "sigmoid")  # fmt: skip
        for name in ("CategoricalCrossentropy", "BinaryCrossentropy"):
            add(name, labels=encoding, plain=False)
        for from_logits in (True, False):
            if (smoothing := _smoothing(sample, term, encoding, from_logits)) is not None:
                add("CategoricalCrossentropy", labels=encoding,
                    options={"from_logits": from_logits, "label_smoothing": smoothing})  # fmt: skip
            for gamma, alpha in itertools.product((2.0, 1.0, 3.0, 5.0), (0.25, 0.5, 1.0)):
                add("CategoricalFocalCrossentropy", labels=encoding,
                    options={"from_logits": from_logits, "gamma": gamma, "alpha": alpha})  # fmt: skip
        for name in ("KLDivergence", "CategoricalHinge"):
            for activation in ("none", "softmax"):
                add(name, labels=encoding, activation=activation)
    else:
        for from_logits, activation in itertools.product((True, False), ("none", "sigmoid")):
            add(
                "BinaryCrossentropy",
                options={"from_logits": from_logits},
                activation=activation,
                logits=is_binary,
            )
        for from_logits in (True, False):
            if (smoothing := _binary_smoothing(sample, term, from_logits)) is not None:
                add("BinaryCrossentropy", options={"from_logits": from_logits, "label_smoothing": smoothing})
            for gamma in (2.0, 1.0, 3.0, 5.0):
                add("BinaryFocalCrossentropy", options={"from_logits": from_logits, "gamma": gamma})
        for name in ("Hinge", "SquaredHinge"):
            add(name)
    for activation in ("none", "softmax", "sigmoid") if is_crossentropy else ("none",):
        for name in (
            "MeanSquaredError", "MeanAbsoluteError", "LogCosh", "MeanSquaredLogarithmicError",
            "MeanAbsolutePercentageError", "Poisson", "CosineSimilarity",
        ):  # fmt: skip
            add(name, labels=encoding if classes > 1 else "as-given", activation=activation)
    if (delta := _huber(sample, term)) is not None:
        add("Huber", options={"delta": delta})
    return list(made)


def _wanted(sample: Sample) -> float:
    return sample.loss - sample.extras


def _smoothing(sample: Sample, term: Term, encoding: Encoded, from_logits: bool) -> float | None:
    """Crossentropy is linear in the smoothing of its labels."""
    return _linear(
        lambda smoothing: _with(
            sample,
            term,
            "CategoricalCrossentropy",
            encoding,
            from_logits=from_logits,
            label_smoothing=smoothing,
        ),
        _wanted(sample),
    )


def _binary_smoothing(sample: Sample, term: Term, from_logits: bool) -> float | None:
    """The same of a single output."""
    return _linear(
        lambda smoothing: _with(
            sample,
            term,
            "BinaryCrossentropy",
            "as-given",
            from_logits=from_logits,
            label_smoothing=smoothing,
        ),
        _wanted(sample),
    )


def _with(
    sample: Sample, term: Term, name: str, encoding: Encoded, **options: float | bool | str
) -> float | None:
    """The data's part of the loss with another criterion for one term."""
    criterion = OtherCriterion(
        scope="both", output=term.name or None, name=name, labels=encoding, options=options
    )
    return applied(sample, (criterion,))


def _linear(at: Callable[[float], float | None], wanted: float) -> float | None:
    """Where between 0 and 1 a linear function takes a value."""
    low, high = at(0.0), at(0.5)
    if low is None or high is None or math.isclose(low, high, rel_tol=1e-6) or not math.isfinite(high - low):
        return None
    place = 0.5 * (wanted - low) / (high - low)
    return as_written(place) if 1e-3 < place < 1.0 else None


def _huber(sample: Sample, term: Term) -> float | None:
    """The delta at which Huber's loss has the value, which it grows towards."""

    def at(delta: float) -> float | None:
        return _with(sample, term, "Huber", "as-given", delta=delta)

    wanted = _wanted(sample)
    low, high = 1e-3, 1e3
    least, largest = at(low), at(high)
    if least is None or largest is None or not least < wanted < largest:
        # As large as half the squares: any delta beyond the largest error.
        return 1.0
    for _ in range(50):
        middle = math.sqrt(low * high)
        value = at(middle)
        if value is None:
            return None
        low, high = (middle, high) if value < wanted else (low, middle)
    return as_written(math.sqrt(low * high))
