"""All variables that training changes: the model's, its optimizer's, its metrics', and those of nobody."""

from __future__ import annotations

import contextlib
import gc
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasx.checkpoint.handed_over import holders_of_variables
from kerasx.checkpoint.kinds import stored, variables_of
from kerasx.checkpoint.packing import Arrays
from kerasx.errors import UsageError


class OwnVariables:
    """Variables that code of users makes beside the model: of optimizers, metrics and generators of its own.

    Those of what was handed over are known by where it stands there, the others by the order in which they
    are made: both are the same whenever the code is.

    Attributes:
        is_complete: Whether no more are noted.
    """

    def __init__(self) -> None:
        self._made: list[weakref.ref[tf.Variable]] = []
        self._holders: list[Any] = []
        self._found: list[Any] | None = None
        self._is_paused = False
        self._is_settled = False
        self.is_complete = False

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Note what is made meanwhile."""

        def creator(following: Any, **arguments: Any) -> Any:
            variable = following(**arguments)
            if not (self.is_complete or self._is_paused):
                with contextlib.suppress(TypeError):  # of a kind that cannot be referred to
                    self._made.append(weakref.ref(variable))
            return variable

        with tf.variable_creator_scope(creator):
            yield

    def hand_over(self, values: Iterable[Any]) -> None:
        """Have the variables kept that objects hold, which may have been made before any were noted."""
        self._holders = holders_of_variables(values)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Note nothing meanwhile: what is given back was made by a step before."""
        self._is_paused = True
        try:
            yield
        finally:
            self._is_paused = False

    def complete(self) -> None:
        """Note no more: a step has made what it makes, and what it makes further is not kept."""
        if not self.is_complete:
            self._found = self._handed_over()
            self.is_complete = True

    def let_go(self) -> None:
        """Collect those that nobody holds any more, which takes seconds in a large program."""
        gc.collect()

    def of_nobody(self, model: keras.Model) -> list[tf.Variable]:
        """Those of them that are not the model's, its optimizer's or its metrics'."""
        known = set(_ids(model, [each for group in _groups(model).values() for each in group]))
        # TensorFlow's own is kept with the other streams of the process.
        known.update(_ids(model, [tf.random.get_global_generator().state]))
        found = self._handed_over() if self._found is None else self._found
        first = [each for each in found if id(each) not in known]
        known.update(_ids(model, first))
        if self.is_complete and not self._is_settled and any(True for _ in self._alive_but(known)):
            self.let_go()
            self._is_settled = True
        return [*first, *self._alive_but(known)]

    def _handed_over(self) -> list[Any]:
        found = [stored(each) for holder in self._holders for each in variables_of(holder)]
        return list({id(each): each for each in found}.values())

    def _alive_but(self, known: set[int]) -> Iterator[tf.Variable]:
        alive = (each() for each in self._made)
        return (each for each in alive if each is not None and id(each) not in known)


def _ids(model: keras.Model, variables: Iterable[Any]) -> Iterator[int]:
    """The identities of variables, and of their parts on several devices."""
    for each in map(stored, variables):
        yield id(each)
        yield from map(id, model.distribute_strategy.experimental_local_results(each))


def _groups(model: keras.Model) -> dict[str, list[Any]]:
    """The model's variables, seeds among them, its optimizer's and its metrics'."""
    return {
        "model": list(model.variables),
        "optimizer": [] if model.optimizer is None else list(model.optimizer.variables),
        "metrics": list(model.metrics_variables),
    }


def read_variables(model: keras.Model, own: OwnVariables, arrays: Arrays) -> list[str]:
    """Copy all values; returns their names in order."""
    named = _named(model, own)
    for name, variable in named:
        arrays[name] = np.array(variable.numpy())
    return [name for name, _ in named]


def fits(model: keras.Model, own: OwnVariables, names: list[str]) -> bool:
    """Whether there are the variables of which values were copied."""
    return [name for name, _ in _named(model, own)] == names


def set_variables(model: keras.Model, own: OwnVariables, names: list[str], arrays: Arrays) -> None:
    """Give all variables their values back.

    Raises:
        UsageError: There are others than those of which values were copied.
    """
    named = dict(_named(model, own))
    if list(named) != names:
        lacking, more = sorted(set(named) - set(names)), sorted(set(names) - set(named))
        raise UsageError(
            "The checkpoint is of other variables than this training has: "
            + "; ".join(
                f"{what} {', '.join(each[:5])}"
                for what, each in (("it lacks", lacking), ("it has besides", more))
                if each
            )
            + ". Has the model's or the step's code changed?"
        )
    for name, variable in named.items():
        if tuple(variable.shape) != arrays[name].shape:
            raise UsageError(
                f"The checkpoint has {name} in the shape {list(arrays[name].shape)}, and this training in"
                f" {list(variable.shape)}. Has the model's code changed?"
            )
        variable.assign(arrays[name])


def by_name(model: keras.Model, own: OwnVariables) -> dict[str, Any]:
    """All variables by their place, as two builds of a model may call a variable differently."""
    groups = {**_groups(model), "own": own.of_nobody(model)}
    return {
        f"{group}.{place}": stored(variable)
        for group, variables in groups.items()
        for place, variable in enumerate(variables)
    }


def _named(model: keras.Model, own: OwnVariables) -> list[tuple[str, Any]]:
    strategy = model.distribute_strategy
    return [
        (name + (f".{replica}" if replica else ""), part)
        for name, variable in by_name(model, own).items()
        # What each replica has of it: metrics and moving statistics are not the same on all.
        for replica, part in enumerate(strategy.experimental_local_results(variable))
    ]
