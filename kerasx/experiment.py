"""The declaration of an experiment: read from TOML and options, validated, written back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
)

from kerasx.component import (
    Component,
    ComponentField,
    Components,
    RateField,
    TreeField,
    TreesField,
    WeightsField,
    components_of,
)
from kerasx.errors import UsageError, suggestion
from kerasx.references import names_code
from kerasx.tables import line_of, parsed_toml, text_of
from kerasx.values import as_plain, holds_objects, texts_in

ExecutionMode = Literal["eager", "graph", "fused"]
# The line of a file that a key stands on, given it and those of the tables it is in; None for none.
Line = Callable[[Sequence[int | str]], int | None]
# More is no number that anybody means, and none that TensorFlow counts to.
_Count = Annotated[int, Field(ge=1, lt=2**31, strict=True)]


class Experiment(BaseModel):
    """What to train and how; the defaults are the article's experiment.

    Names are registered names, Keras identifiers or import references; objects (a model, arrays, a
    loss) may stand in their place, in which case the run cannot be repeated from its file alone.

    Attributes:
        model: A registered model, a function by reference, or a `keras.Model`.
        dataset: A registered data set, an `.npz` file, a function by reference, or arrays.
        loss: One, or a list or table with one for each output. None takes that of a compiled model, or
            the article's for the article's model and data.
        loss_weights: Factors of the losses, in the structure of `loss`.
        metrics: A list, or a list or table of lists with one for each output. None takes those of a
            compiled model, or `accuracy` where labels and outputs fit one.
        weighted_metrics: The same, of metrics that sample and class weights weigh.
        optimizer: None takes that of a compiled model, or `sgd`.
        learning_rate: A number, or a schedule by its Keras name or reference; None leaves the
            optimizer's own.
        class_weight: Weight of each class's rows in training; 1 for those that are not named.
        epochs: How often the data is gone through.
        batch_size: Rows a batch; a pipeline brings batches of its own.
        validation_split: Share of the training rows, taken from their end, to validate on in place of
            the data set's own validation rows.
        shuffle: Whether each epoch has its own order of rows (of batches, for a PyDataset).
        seed: Of initial weights, batch order and random streams.
        strategy: A registered strategy, or a step, a loop or a `StepStrategy` by reference.
        execution: `eager`, `graph` or `fused`; None takes the strategy's default, or what stands in for it.
        jit: Whether XLA compiles the step; None takes the strategy's default, or none where XLA cannot.
        steps_per_call: Steps between two batch events of callbacks in `fused`; None for ten events an epoch,
            but at least 64 steps.
        precision: A Keras dtype policy such as `mixed_float16`; None leaves Keras's.
        devices: On how many devices to train; None or 1 for one.
        labels: `as-given`, or `one-hot` to encode class numbers once.
        callbacks: Registered callbacks, references or `keras.callbacks.Callback` objects.
        initial_weights: A `.weights.h5` or `.keras` file to start from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    model: ComponentField = Component(name="mlp")
    dataset: ComponentField = Component(name="mnist")
    loss: TreeField = None
    loss_weights: WeightsField = None
    metrics: TreesField = None
    weighted_metrics: TreesField = None
    optimizer: ComponentField | None = None
    learning_rate: RateField = None
    class_weight: (
        dict[Annotated[int, Field(ge=0, lt=2**24)], Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None
    ) = None
    epochs: _Count = 10
    batch_size: _Count = 32
    validation_split: Annotated[float, Field(gt=0, lt=1)] | None = None
    shuffle: bool = True
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)] = 0
    strategy: ComponentField = Component(name="custom-step")
    execution: ExecutionMode | None = None
    jit: bool | None = None
    steps_per_call: _Count | None = None
    precision: str | None = None
    devices: _Count | None = None
    labels: Literal["as-given", "one-hot"] = "as-given"
    callbacks: Components = ()
    initial_weights: Path | None = None

    # Positional alone, so that whatever somebody calls a field is answered as a field.
    def __init__(self, source: str = "the experiment", line: Line | None = None, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise UsageError(_described(error, source, line or (lambda keys: None))) from error
        except RecursionError as error:
            raise UsageError(f"In {source}, values are nested too deeply.") from error

    @classmethod
    def parse(
        cls, values: Mapping[str, Any], *, source: str = "the experiment", line: Line | None = None
    ) -> Experiment:
        """Validate plain values.

        Args:
            values: Fields as in TOML, or objects.
            source: Where they came from, for messages.
            line: The line that a key stands on, where they came from a file.

        Raises:
            UsageError: A field is unknown or has a wrong value; every one is named.
        """
        return cls(source, line, **values)

    @classmethod
    def from_toml(cls, path: str | Path) -> Experiment:
        """Read an experiment file.

        Raises:
            UsageError: The file is missing, is no TOML, or a field is wrong; its line is named.
        """
        text = text_of(Path(path))
        values = merged({}, parsed_toml(text, Path(path)))
        return cls.parse_plain(values, source=f"`{path}`", line=lambda keys: line_of(keys, text))

    @classmethod
    def parse_plain(cls, values: Mapping[str, Any], *, source: str, line: Line | None = None) -> Experiment:
        """Validate plain values, as a file or options hold them, among which no object can be.

        Raises:
            UsageError: A field is unknown or has a wrong value.
        """
        experiment = cls.parse(values, source=source, line=line)
        for name in experiment.objects:
            place = _place((name,), line)
            raise UsageError(f"In {source}, {place} is neither a name nor a table with a name.")
        return experiment

    def with_values(self, /, **values: Any) -> Experiment:
        """The same experiment with some fields replaced, by plain values or objects.

        Raises:
            UsageError: A field is unknown or has a wrong value.
        """
        own = {name: getattr(self, name) for name in self.model_fields_set}
        if values.get("execution") not in (None, "fused"):
            own.pop("steps_per_call", None)
        if values.get("learning_rate") is not None and isinstance(own.get("optimizer"), Component):
            own["optimizer"] = _without_rate(own["optimizer"])
        return type(self).parse({**own, **values})

    @property
    def objects(self) -> list[str]:
        """The fields in which objects stand, which no file can describe."""
        found = []
        for name in type(self).model_fields:
            components = components_of(getattr(self, name))
            if any(part.is_object or holds_objects(part.options) for part in components):
                found.append(name)
        return found

    @property
    def code(self) -> list[str]:
        """The references among its names and options, whose code a run executes, each with its field."""
        found: dict[str, str] = {}
        for name in type(self).model_fields:
            for part in components_of(getattr(self, name)):
                for text in texts_in([part.name, part.options]):
                    if names_code(text) and not text.startswith("kerasx."):
                        found.setdefault(text, f"{text} ({name})")
        return list(found.values())

    @property
    def had_objects(self) -> bool:
        """Whether objects stand in some fields, or stood there when the experiment was written down."""
        components = (part for name in type(self).model_fields for part in components_of(getattr(self, name)))
        return bool(self.objects) or any(part.was_object for part in components)

    @property
    def handed_over(self) -> list[Any]:
        """Objects in the place of parts, and what else is no text or number among their options."""
        components = [part for name in type(self).model_fields for part in components_of(getattr(self, name))]
        return [
            value
            for part in components
            for value in (part.value, *part.options.values())
            if not isinstance(value, str | int | float | None)
        ]

    def to_plain(self) -> dict[str, Any]:
        """The fields as TOML and JSON hold them, without those that are None."""
        plain: dict[str, Any] = as_plain(self.model_dump(mode="python", exclude_none=True))
        return plain

    def to_toml(self) -> str:
        """The experiment as TOML; says so in a comment where objects were handed over."""
        heading = ""
        if self.objects:
            heading = (
                f"# Not re-runnable from this file alone: objects were handed over for"
                f" {', '.join(self.objects)}.\n"
            )
        return heading + tomli_w.dumps(self.to_plain())


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values on top of others: options on top of a file.

    A table without a name adds its options to the component below it; anything else replaces.
    """
    result = dict(base)
    if over.get("execution") not in (None, "fused"):
        result.pop("steps_per_call", None)  # of a fused execution below, as a run records it
    if over.get("learning_rate") is not None and "optimizer" in result:
        result["optimizer"] = _without_rate(result["optimizer"])
    for key, value in over.items():
        result[key] = _laid_over(result.get(key, _default(key)), value)
    return result


def _laid_over(below: object, over: object) -> object:
    table = _as_table(below)
    if not isinstance(over, Mapping) or "name" in over or table is None:
        return over
    return table | {key: _laid_over(table.get(key), value) for key, value in over.items()}


def _without_rate(optimizer: Any) -> Any:
    """An optimizer without a rate of its own, which would go before the one that is now asked for."""
    if isinstance(optimizer, Component):
        return optimizer.model_copy(update={"options": _without_rate(optimizer.options)})
    if not isinstance(optimizer, Mapping):
        return optimizer
    table = {key: value for key, value in optimizer.items() if key != "learning_rate"}
    if "inner_optimizer" in table:
        table["inner_optimizer"] = _without_rate(table["inner_optimizer"])
    return table


def _as_table(value: object) -> dict[str, Any] | None:
    if isinstance(value, Component):
        return {"name": value.name, **value.options}
    if isinstance(value, str):
        return {"name": value}
    return dict(value) if isinstance(value, Mapping) else None


def _default(key: str) -> object:
    if key == "optimizer":
        return Component(name="sgd")  # the field's None stands for it, or for a compiled model's
    field = Experiment.model_fields.get(key)
    return None if field is None else field.default


def _described(error: ValidationError, source: str, line: Line) -> str:
    """Every wrong field, with its line, its value and what it may be, as one message."""
    lines = []
    for each in error.errors(include_url=False):
        place = _place(each["loc"], line)
        if each["type"] == "extra_forbidden":
            known = suggestion(str(each["loc"][-1]), Experiment.model_fields, what="keys")
            lines.append(f"there is no key {place}. {known}")
        else:
            lines.append(
                f"{place} is {_shortened(each['input'])}: {each['msg'].removeprefix('Value error, ')}"
            )
    return f"In {source}, " + "; ".join(lines) + ("" if lines[-1].endswith((".", "?")) else ".")


def _place(keys: Sequence[int | str], line: Line | None) -> str:
    number = None if line is None else line(keys)
    # Pydantic calls the key of a table so that is itself wrong.
    return f"`{'.'.join(str(key) for key in keys if key != '[key]')}`" + (
        "" if number is None else f" (line {number})"
    )


def _shortened(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # an object of somebody's
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 200 else f"{text[:200]}..."
