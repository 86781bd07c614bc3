"""Optimizer, loss and metrics of an experiment, and whether they fit labels and outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from kerasx.assembly.keras_names import KerasNames
from kerasx.assembly.resolve import Resolver, make, objective, refuse_options
from kerasx.builtins.losses import SumSquaredError
from kerasx.component import Component
from kerasx.data.labels import needs_one_hot
from kerasx.data.signature import LabelInfo, Signature, TensorInfo
from kerasx.errors import UsageError
from kerasx.experiment import Experiment

# The article's loss is the default for the article's own job only: elsewhere it would be a guess.
ARTICLE_JOB = ("mlp", "mnist")
ARTICLE_LOSS = Component(name="sum-squared-error")
DEFAULT_OPTIMIZER = Component(name="sgd")
ACCURACY = Component(name="accuracy")
# Keras losses that take class numbers, or labels of another length than the outputs.
_NOT_ELEMENTWISE = ("SparseCategoricalCrossentropy", "CTC")


@dataclass(frozen=True)
class Objectives:
    """What `compile` takes.

    Attributes:
        optimizer: A Keras optimizer.
        loss: A Keras loss, a function, or a structure of them.
        metrics: A list of Keras metrics and functions, or what a compiled model brought.
        notes: What was chosen and why, to be said and recorded.
    """

    optimizer: keras.optimizers.Optimizer
    loss: Any
    metrics: Any
    notes: tuple[str, ...] = ()


def make_optimizer(component: Component, learning_rate: float | None, resolver: Resolver) -> Any:
    """The optimizer a component names, with the experiment's learning rate where it has one.

    Raises:
        UsageError: There is no such optimizer, or it refuses an option.
    """
    found = resolver.find(
        "optimizer", component, keras_names=KerasNames(keras.optimizers, keras.optimizers.Optimizer)
    )
    if isinstance(found.value, keras.optimizers.Optimizer):
        refuse_options(found, "optimizer")
        optimizer = found.value
        if optimizer.built:
            # One that has trained keeps slots for the variables of that model.
            optimizer = type(optimizer).from_config(optimizer.get_config())
        set_learning_rate(optimizer, learning_rate)
        return optimizer
    if not callable(found.value):
        raise UsageError(
            f"The optimizer `{component.described}` is {type(found.value).__name__}, not an optimizer."
        )
    extra: dict[str, Any] = {} if learning_rate is None else {"learning_rate": learning_rate}
    optimizer = make(found, "optimizer", **extra)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise UsageError(f"The optimizer `{component.described}` returned {type(optimizer).__name__}.")
    return optimizer


def set_learning_rate(optimizer: keras.optimizers.Optimizer, learning_rate: float | None) -> None:
    """Give an optimizer the experiment's learning rate, where it has one.

    Raises:
        UsageError: The optimizer follows a schedule.
    """
    if learning_rate is None:
        return
    try:
        optimizer.learning_rate = learning_rate
    except TypeError as error:
        raise UsageError(
            f"The optimizer {type(optimizer).__name__} follows a learning-rate schedule, which one number"
            " cannot replace: leave the learning rate out, or name another optimizer."
        ) from error


def loss_component(experiment: Experiment) -> Component:
    """The loss of an experiment whose model did not bring one.

    Raises:
        UsageError: It has to be named.
    """
    if experiment.loss is not None:
        return experiment.loss
    if (experiment.model.name, experiment.dataset.name) == ARTICLE_JOB:
        return ARTICLE_LOSS
    raise UsageError(
        "The loss has to be named: the article's `sum-squared-error` is the default for the model `mlp` on"
        " `mnist` only. Give --loss, `loss` in the experiment file, or a compiled model."
    )


def make_loss(component: Component, signature: Signature, resolver: Resolver) -> Any:
    """The loss a component names.

    Raises:
        UsageError: There is no such loss, or it refuses an option.
    """
    found = resolver.find("loss", component, keras_names=KerasNames(keras.losses, keras.losses.Loss))
    return objective(found, "loss", keras.losses.Loss, {"signature": signature})


def make_metric(component: Component, signature: Signature, resolver: Resolver) -> Any:
    """The metric a component names; a Keras metric is called in the logs what it was called here.

    Raises:
        UsageError: There is no such metric, it refuses an option, or it does not fit the data.
    """
    found = resolver.find("metric", component, keras_names=KerasNames(keras.metrics, keras.metrics.Metric))
    if found.is_keras:
        return make(found, "metric", name=component.name)
    return objective(found, "metric", keras.metrics.Metric, {"signature": signature})


def make_metrics(
    components: tuple[Component, ...] | None, signature: Signature, resolver: Resolver, *, own_step: bool
) -> tuple[list[Any], list[str]]:
    """The metrics of an experiment, and what is to be said about them.

    None named means `accuracy` where labels and outputs fit one. A step that is not kerasx's or Keras's
    decides itself what it measures: one that knows nothing of metrics would leave it without a value.
    """
    if components is None:
        if own_step:
            return [], ["no metric was named: the step reports what it measures itself (--metric adds one)"]
        try:
            metrics = [make_metric(ACCURACY, signature, resolver)]
        except UsageError as error:
            return [], [f"no accuracy: {error}"]
    else:
        metrics = [make_metric(component, signature, resolver) for component in components]
    for metric in metrics:
        _check_metric(metric, signature)
    notes = []
    for metric in metrics:
        if isinstance(metric, keras.metrics.Metric):
            # Keras resets only from the second epoch on what it has not seen before.
            metric.reset_state()
        name = getattr(metric, "name", None)
        if (
            name == "accuracy"
            and isinstance(signature.labels, LabelInfo)
            and isinstance(signature.outputs, TensorInfo)
        ):
            notes.append(
                f"accuracy is {type(metric).__name__}: labels {signature.labels.described},"
                f" outputs {signature.outputs.described}"
            )
    return metrics, notes


def _check_metric(metric: Any, signature: Signature) -> None:
    """Refuse a metric of Keras's that would compare class numbers with outputs element by element."""
    name = type(metric).__name__
    compares = KerasNames(keras.losses, keras.losses.Loss).find(name.removeprefix("Root"))
    is_keras = getattr(keras.metrics, name, None) is type(metric)
    if not is_keras or compares is None or compares.__name__ in _NOT_ELEMENTWISE:
        return
    if needs_one_hot(signature.labels, signature.outputs):
        raise UsageError(
            f"The metric {name} compares labels and outputs element by element, and they have different"
            f" shapes: labels {signature.labels.described}, outputs {signature.outputs.described}. Encode the"
            " labels (--set labels=one-hot) or name another metric."
        )


def encodes_labels(loss: Any, labels: Any, outputs: Any) -> bool:
    """Whether a Keras loss would compare class numbers with outputs element by element."""
    keras_class = _keras_class(loss)
    return (
        keras_class is not None
        and keras_class.__name__ not in _NOT_ELEMENTWISE
        and needs_one_hot(labels, outputs)
    )


def _keras_class(loss: Any) -> type | None:
    """The class of Keras's own losses, given as object, function or name; None for any other."""
    if isinstance(loss, keras.losses.Loss):
        return type(loss) if getattr(keras.losses, type(loss).__name__, None) is type(loss) else None
    names = KerasNames(keras.losses, keras.losses.Loss)
    if isinstance(loss, str):
        return names.find(loss)
    is_keras = getattr(loss, "__module__", "").partition(".")[0] == "keras"
    return names.find(loss.__name__) if is_keras and hasattr(loss, "__name__") else None


def check_labels(loss: Any, signature: Signature) -> None:
    """Refuse labels that the loss would accept and compare with the wrong outputs.

    Raises:
        UsageError: Labels and outputs do not fit.
    """
    labels, outputs = signature.labels, signature.outputs
    keras_class = SumSquaredError if isinstance(loss, SumSquaredError) else _keras_class(loss)
    if keras_class is None or not isinstance(labels, LabelInfo) or not isinstance(outputs, TensorInfo):
        return
    name = keras_class.__name__
    units = outputs.shape[-1] if len(outputs.shape) > 1 else 1
    takes_numbers = keras_class in (keras.losses.SparseCategoricalCrossentropy, SumSquaredError)
    if takes_numbers and units is not None and units > 1 and _is_column_of(labels, outputs):
        if not labels.integral or labels.minimum < 0 or labels.maximum >= units:
            raise UsageError(
                f"The labels go from {labels.minimum:g} to {labels.maximum:g}, and are compared as class"
                f" numbers with the {units} outputs of the model, for the classes 0 to {units - 1}."
                " Give the model more outputs, or other labels."
            )
        return
    if keras_class is keras.losses.SparseCategoricalCrossentropy:
        raise UsageError(
            f"The loss {name} takes class numbers, and the labels are {labels.described} for outputs"
            f" {outputs.described}: use categorical_crossentropy for one-hot labels."
        )
    if name in _NOT_ELEMENTWISE:
        return
    if _without_column(labels) != _without_column(outputs):
        raise UsageError(
            f"The loss {name} compares labels and outputs element by element, and they have different"
            f" shapes: labels {labels.described}, outputs {outputs.described}."
        )


def _is_column_of(labels: LabelInfo, outputs: TensorInfo) -> bool:
    """Whether there is one label for each row of outputs."""
    rank = len(labels.shape) - (len(labels.shape) > 1 and labels.shape[-1] == 1)
    return rank == len(outputs.shape) - 1


def _without_column(info: TensorInfo) -> tuple[int | None, ...]:
    """The shape without the batch, and without a last axis of one, which Keras adds or drops."""
    return info.shape[1:-1] if len(info.shape) > 1 and info.shape[-1] == 1 else info.shape[1:]
