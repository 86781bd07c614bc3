"""Loss and metrics of an experiment, for one output or several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from kerasx.assembly.keras_names import KerasNames
from kerasx.assembly.label_checks import check_labels, check_metric, encodes_labels
from kerasx.assembly.outputs import Outputs, for_outputs
from kerasx.assembly.resolve import Resolver, make, objective
from kerasx.component import Component, Tree
from kerasx.data.signature import LabelInfo, Signature, TensorInfo
from kerasx.errors import UsageError
from kerasx.experiment import Experiment

# The article's loss is the default for the article's own job only: elsewhere it would be a guess.
ARTICLE_JOB = ("mlp", "mnist")
ARTICLE_LOSS = Component(name="sum-squared-error")
ACCURACY = Component(name="accuracy")


@dataclass(frozen=True)
class Objectives:
    """What `compile` takes.

    Attributes:
        optimizer: A Keras optimizer.
        loss: A Keras loss, a function, or a structure of them.
        metrics: Keras metrics and functions, one list or one for each output; None for what a compiled
            model brought.
        weighted_metrics: The same, of metrics that sample weights weigh.
        notes: What was chosen and why, to be said and recorded.
    """

    optimizer: keras.optimizers.Optimizer
    loss: Any
    metrics: Any
    weighted_metrics: Any = None
    notes: tuple[str, ...] = ()


def loss_component(experiment: Experiment) -> Tree:
    """The loss of an experiment whose model did not bring one.

    Raises:
        UsageError: It has to be named.
    """
    if experiment.loss is not None:
        loss: Tree = experiment.loss
        return loss
    if (experiment.model.name, experiment.dataset.name) == ARTICLE_JOB:
        return ARTICLE_LOSS
    raise UsageError(
        "The loss has to be named: the article's `sum-squared-error` is the default for the model `mlp` on"
        " `mnist` only. Give --loss, `loss` in the experiment file, or a compiled model."
    )


def make_loss(tree: Tree, outputs: Outputs, resolver: Resolver) -> Any:
    """The loss that is named, or the losses of several outputs.

    Raises:
        UsageError: There is no such loss or output, an option is refused, or labels do not fit.
    """

    def made(component: Component, output: Outputs) -> Any:
        found = resolver.find("loss", component, keras_names=KerasNames(keras.losses, keras.losses.Loss))
        if found.is_keras:
            # By its name Keras calls the loss of an output that has none.
            loss = make(found, "loss", name=component.name)
        else:
            loss = objective(found, "loss", keras.losses.Loss, {"signature": output.signature})
        for part in [output] if output.is_one else output.parts():
            if part is not outputs:
                _check_part(loss, part.signature)
        return loss

    if isinstance(outputs.signature.labels, dict) and not outputs.is_one:
        for name in outputs.signature.labels:
            outputs.part(name, "labels")
    return for_outputs(tree, outputs, made, "losses")


def _check_part(loss: Any, signature: Signature) -> None:
    """Refuse labels that one of several losses would compare wrongly; those are not encoded unasked."""
    if encodes_labels(loss, signature.labels, signature.outputs):
        raise UsageError(
            f"A loss that compares element by element cannot take the labels {signature.labels.described}"
            f" for the outputs {signature.outputs.described}: give one-hot labels, or a sparse loss."
        )
    check_labels(loss, signature)


def make_metrics(tree: Tree, outputs: Outputs, resolver: Resolver) -> tuple[Any, list[str]]:
    """The metrics that are named, in the structure in which they are, and what is to be said about them.

    Raises:
        UsageError: There is no such metric or output, an option is refused, or labels do not fit.
    """
    notes: list[str] = []

    def made(component: Component, output: Outputs) -> Any:
        metric = _metric(component, output.signature, resolver)
        check_metric(metric, output.signature)
        if isinstance(metric, keras.metrics.Metric):
            # Keras resets only from the second epoch on what it has not seen before.
            metric.reset_state()
        notes.extend(_told(metric, output.signature))
        return metric

    return for_outputs(tree, outputs, made, "metrics"), notes


def default_metrics(outputs: Outputs, resolver: Resolver, *, own_step: bool) -> tuple[Any, list[str]]:
    """`accuracy` where labels and outputs fit one, as nobody named a metric, and what is to be said.

    A step that is not kerasx's or Keras's decides itself what it measures: one that knows nothing of
    metrics would leave it without a value.
    """
    if own_step:
        return [], ["no metric was named: the step reports what it measures itself (--metric adds one)"]
    if not outputs.is_one:
        return [], ["no metric was named: several outputs need one each (a table `metrics`)"]
    try:
        return make_metrics((ACCURACY,), outputs, resolver)
    except UsageError as error:
        return [], [f"no accuracy: {error}"]


def _metric(component: Component, signature: Signature, resolver: Resolver) -> Any:
    """The metric a component names; a Keras metric is called in the logs what it was called here."""
    found = resolver.find("metric", component, keras_names=KerasNames(keras.metrics, keras.metrics.Metric))
    if found.is_keras:
        return make(found, "metric", name=component.name)
    return objective(found, "metric", keras.metrics.Metric, {"signature": signature})


def _told(metric: Any, signature: Signature) -> list[str]:
    labels, outputs = signature.labels, signature.outputs
    if getattr(metric, "name", None) != "accuracy" or not isinstance(outputs, TensorInfo):
        return []
    if not isinstance(labels, LabelInfo):
        return []
    return [f"accuracy is {type(metric).__name__}: labels {labels.described}, outputs {outputs.described}"]
