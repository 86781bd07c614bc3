"""The seams of Keras and TensorFlow at which any training can be observed, hand-written loops included.

Everything is instrumented from outside, by class, and put back afterwards: what is traced needs no change,
and is handed the very objects that it would have been handed (a copy of an output would lose Keras's mask and
logits). All seams are public names; that each of them is still called where it was is tested.
What an optimizer was built with is read from a private name: see `built_with`.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import keras
import tensorflow as tf

Original = Callable[..., Any]


class Observer(Protocol):
    """What is told of calls at the seams, after the call, with what was passed and what came back.

    Of layers and of optimizers only the outermost calls are told: not those of a model's layers, nor that of
    the optimizer within one that scales losses. Of losses and metrics all are, those that hold others last.
    """

    def called_layer(
        self, layer: Any, arguments: tuple[Any, ...], options: dict[str, Any], outputs: Any
    ) -> None:
        """A layer or a model was called."""

    def computed_loss(self, arguments: dict[str, Any], loss: Any) -> None:
        """A model computed its loss, from the arguments of `compute_loss` by name."""

    def called_loss(self, criterion: Any, y_true: Any, y_pred: Any, loss: Any) -> None:
        """A loss object was called."""

    def scaled_loss(self, loss: Any, scaled: Any) -> None:
        """An optimizer scaled a loss."""

    def took_gradient(self, target: Any, sources: Any, gradients: Any) -> None:
        """A tape gave gradients."""

    def begins_apply(self, optimizer: Any, gradients: list[Any], variables: list[Any]) -> None:
        """An optimizer is about to apply gradients."""

    def applied(self, optimizer: Any) -> None:
        """It has."""

    def updated_metric(self, metric: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        """A metric's state was updated."""


@contextlib.contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Tell an observer of what happens at the seams in this thread, until the context ends.

    Calls while a graph is traced, and those that the observer makes, are not told of.

    Args:
        observer: Told of calls.
    """
    hooks = _Hooks(observer)
    with contextlib.ExitStack() as stack:
        for owner, name, around in hooks.seams():
            stack.enter_context(_replaced(owner, name, around))
        yield


@contextlib.contextmanager
def _replaced(owner: type, name: str, around: Callable[[Original], Original]) -> Iterator[None]:
    """Replace a method of a class, be it the class's own or inherited, until the context ends."""
    original = getattr(owner, name)
    own = vars(owner).get(name)
    setattr(owner, name, around(original))
    try:
        yield
    finally:
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)


class _Hooks:
    """Wraps the methods at the seams."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._thread = threading.get_ident()
        self._depths: dict[tuple[str, int], int] = {}
        self._is_told = False

    def seams(self) -> Iterator[tuple[type, str, Callable[[Original], Original]]]:
        """Classes and names of the methods, with what wraps them."""
        for kind in _with_own(keras.Layer, "__call__"):
            yield kind, "__call__", self._layer
        yield keras.Layer, "stateless_call", self._stateless
        for kind in _with_own(keras.Model, "compute_loss"):
            yield kind, "compute_loss", self._compute_loss
        for kind in _with_own(keras.losses.Loss, "__call__"):
            yield kind, "__call__", self._loss
        for kind in _with_own(keras.optimizers.Optimizer, "scale_loss"):
            yield kind, "scale_loss", self._scale_loss
        for kind in _with_own(keras.optimizers.Optimizer, "apply"):
            yield kind, "apply", self._apply
        yield tf.GradientTape, "gradient", self._gradient
        for kind in _with_own(keras.metrics.Metric, "update_state"):
            yield kind, "update_state", self._metric

    def _wrapped(
        self, seam: str, original: Original, tell: Callable[..., None], *, each: bool = False
    ) -> Original:
        """The method, with the observer told after its outermost call, or after each object's outermost."""

        @functools.wraps(original)
        def method(*args: Any, **kwargs: Any) -> Any:
            with self._within((seam, id(args[0]) if each else 0)) as is_outermost:
                result = original(*args, **kwargs)
            if is_outermost:
                with self._telling():
                    tell(result, *args, **kwargs)
            return result

        return method

    @contextlib.contextmanager
    def _within(self, seam: tuple[str, int]) -> Iterator[bool]:
        """Whether what is called now is to be told of, and count how deep it is."""
        if threading.get_ident() != self._thread or self._is_told or not tf.executing_eagerly():
            yield False
            return
        depth = self._depths.get(seam, 0)
        self._depths[seam] = depth + 1
        try:
            yield depth == 0
        finally:
            self._depths[seam] = depth

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """What the observer does is neither observed nor recorded by a tape."""
        self._is_told = True
        try:
            yield
        finally:
            self._is_told = False

    def _layer(self, original: Original) -> Original:
        def tell(result: Any, layer: Any, *args: Any, **kwargs: Any) -> None:
            if isinstance(layer, keras.losses.Loss | keras.metrics.Metric):
                return
            self._observer.called_layer(layer, args, kwargs, result)

        return self._wrapped("layer", original, tell)

    def _stateless(self, original: Original) -> Original:
        variables = ("trainable_variables", "non_trainable_variables")

        def tell(result: Any, layer: Any, *args: Any, **kwargs: Any) -> None:
            own = ("return_losses", *variables)
            options = {name: value for name, value in kwargs.items() if name not in own}
            positions = len(variables) - sum(name in kwargs for name in variables)
            self._observer.called_layer(layer, args[positions:], options, result[0])

        return self._wrapped("layer", original, tell)

    def _compute_loss(self, original: Original) -> Original:
        names = ("x", "y", "y_pred", "sample_weight", "training")

        def tell(result: Any, model: Any, *args: Any, **kwargs: Any) -> None:
            self._observer.computed_loss({**dict(zip(names, args, strict=False)), **kwargs}, result)

        return self._wrapped("compute_loss", original, tell)

    def _loss(self, original: Original) -> Original:
        def tell(result: Any, criterion: Any, *args: Any, **kwargs: Any) -> None:
            given = {**dict(zip(("y_true", "y_pred"), args, strict=False)), **kwargs}
            self._observer.called_loss(criterion, given.get("y_true"), given.get("y_pred"), result)

        return self._wrapped("loss", original, tell, each=True)

    def _scale_loss(self, original: Original) -> Original:
        def tell(result: Any, optimizer: Any, loss: Any) -> None:
            self._observer.scaled_loss(loss, result)

        return self._wrapped("scale_loss", original, tell)

    def _gradient(self, original: Original) -> Original:
        def tell(result: Any, tape: Any, target: Any, sources: Any, *args: Any, **kwargs: Any) -> None:
            self._observer.took_gradient(target, sources, result)

        return self._wrapped("gradient", original, tell)

    def _apply(self, original: Original) -> Original:
        @functools.wraps(original)
        def method(optimizer: Any, grads: Any, trainable_variables: Any = None, **kwargs: Any) -> Any:
            with self._within(("apply", 0)) as is_outermost:
                if not is_outermost:
                    return original(optimizer, grads, trainable_variables, **kwargs)
                # Lists, as what is handed over may be an iterator, which can be gone through once.
                grads = list(grads)
                if trainable_variables is not None:
                    trainable_variables = variables = list(trainable_variables)
                else:
                    variables = built_with(optimizer)
                with self._telling():
                    self._observer.begins_apply(optimizer, grads, variables)
                result = original(optimizer, grads, trainable_variables, **kwargs)
            with self._telling():
                self._observer.applied(optimizer)
            return result

        return method

    def _metric(self, original: Original) -> Original:
        def tell(result: Any, metric: Any, *args: Any, **kwargs: Any) -> None:
            self._observer.updated_metric(metric, args, kwargs)

        return self._wrapped("metric", original, tell, each=True)


def built_with(optimizer: Any) -> list[Any]:
    """The variables that an optimizer was built with, of which `apply` without variables takes them to be.

    They are handed to it in public (`build`), perhaps long before it is observed, and cannot be asked for:
    hence Keras's private list, here only. An optimizer that scales losses hands on what the one within has.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return list(getattr(inner, "_trainable_variables", []))


def _with_own(base: type[Any], name: str) -> list[type[Any]]:
    """A class and its subclasses, of Keras, of libraries and of users, that define a method themselves."""
    found: list[type[Any]] = [base]
    for each in found:  # grows while it is gone through
        found += [kind for kind in each.__subclasses__() if kind not in found]

    def defines(kind: type[Any]) -> bool:
        # Itself, or by way of a class that is none of these.
        definer = next(each for each in kind.__mro__ if name in vars(each))
        return kind is base or definer is kind or definer not in {*found, *base.__mro__}

    return [kind for kind in found if defines(kind)]
