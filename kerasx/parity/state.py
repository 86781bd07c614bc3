"""The full state that a training step starts from and changes, read and set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kerasx.parity.records import Array

# What an optimizer calls the count of its steps.
ITERATION = "iteration"
# As what the count of an optimizer that accumulates is recorded.
COUNT_OF_BATCHES = f"slot {ITERATION}, of batches"


@dataclass(frozen=True)
class FullState:
    """Values of variables, in the order of `state_variables`.

    Attributes:
        names: One for each value.
        values: Arrays.
        own: How many of them, the first ones, are the model's; the others are its optimizer's.
    """

    names: tuple[str, ...]
    values: tuple[Array, ...]
    own: int

    def fits(self, other: FullState) -> bool:
        """Whether both are of models with variables of the same shapes and dtypes."""
        ours, theirs = ([(v.shape, v.dtype) for v in each.values[: each.own]] for each in (self, other))
        return ours == theirs


def state_variables(
    model: keras.Model, optimizer: Any = None, names: Sequence[str] = ()
) -> list[tuple[str, Any]]:
    """All that a step starts from, by unique names: the model's variables, seeds among them, then its
    optimizer's (slots, iterations, learning rate, loss scale).

    Args:
        model: The model.
        optimizer: What trains it in place of its own optimizer.
        names: What its own variables are called, in their order, where another model of the same variables
            gives them their names; else they are called by their paths within the model.
    """
    paths = [_within(variable.path, model) for variable in model.variables]
    called = list(names) if len(names) == len(paths) else renamed(paths)
    # Slots are called by the optimizer's name, which is numbered too, and that of what they are of.
    joined = {
        variable.path.replace("/", "_"): own_name.replace("/", "_")
        for variable, own_name in zip(model.variables, called, strict=True)
    }

    def slot_name(path: str) -> str:
        own = path.partition("/")[2] or path
        of = max((each for each in joined if own.startswith(f"{each}_")), key=len, default=None)
        return own if of is None else joined[of] + own[len(of) :]

    own = list(zip(called, model.variables, strict=True))
    # A model that was never compiled has not even none.
    optimizer = getattr(model, "optimizer", None) if optimizer is None else optimizer
    slots = [] if optimizer is None else optimizer.variables
    named = [(slot_name(slot.path), slot) for slot in slots]
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        # It wraps the optimizer that steps, and has a learning rate and a count of its own.
        inner = {id(slot) for slot in optimizer.inner_optimizer.variables}
        named = [(name if id(slot) in inner else f"loss_scale/{name}", slot) for name, slot in named]
    return _unique([*own, *named])


def named_variables(model: keras.Model, names: Sequence[str] = ()) -> list[tuple[str, Any]]:
    """The model's own variables among them."""
    return state_variables(model, None, names)[: len(model.variables)]


def read_state(model: keras.Model, optimizer: Any = None, names: Sequence[str] = ()) -> FullState:
    """The values as they are now; arguments as of `state_variables`."""
    named = state_variables(model, optimizer, names)
    return FullState(
        tuple(name for name, _ in named),
        tuple(as_array(variable) for _, variable in named),
        len(model.variables),
    )


def set_state(model: keras.Model, state: FullState, optimizer: Any = None, names: Sequence[str] = ()) -> None:
    """Set all values that there are on both sides; arguments as of `state_variables`.

    All but learning rates, which are not state: they may be what two sides differ in; and counts, where one
    side counts batches and the other one updates. An optimizer has slots once it has taken a step; one that
    is never used, as where weights are assigned, has none.
    """
    named = state_variables(model, optimizer, names)
    for (_, variable), value in zip(named[: state.own], state.values, strict=False):
        variable.assign(value)  # by position: two builds of a model may call a variable differently
    values = dict(zip(state.names[state.own :], state.values[state.own :], strict=True))
    counts_alike = accumulates(values) == accumulates(name for name, _ in named[state.own :])
    for name, variable in named[state.own :]:
        if name == ITERATION and not counts_alike:
            continue
        if name in values and not is_rate(name) and tuple(variable.shape) == values[name].shape:
            variable.assign(values[name])


def same_values(a: FullState, b: FullState) -> bool:
    """Whether the model's variables are the same in both, to the bit."""
    return a.fits(b) and all(
        ours.tobytes() == theirs.tobytes()
        for ours, theirs in zip(a.values[: a.own], b.values[: b.own], strict=True)
    )


def _within(path: str, model: keras.Model) -> str:
    """A variable's path without the name of the model, which subclassed models put before it."""
    return path.removeprefix(f"{model.name}/")


def accumulates(names: Iterable[str]) -> bool:
    """Whether slots of these names are of an optimizer that accumulates gradients: it counts batches, where
    another one counts updates."""
    return any(name.endswith("_gradient_accumulator") for name in names)


def is_rate(name: str) -> bool:
    """Whether a variable of an optimizer is its learning rate."""
    return re.fullmatch(r"learning_rate( \(\d+\))?", name) is not None


def as_array(value: Any) -> Array:
    """A variable, a tensor or numbers as a NumPy array of its own; bfloat16 and its like keep their dtype."""
    if isinstance(value, keras.Variable):
        value = value.value
    array = np.array(value.numpy() if hasattr(value, "numpy") else value)
    return array.astype("S") if array.dtype.hasobject else array  # text


def names_seed(name: str) -> bool:
    """Whether a variable is called as states of seed generators are."""
    return (
        name.endswith("seed_generator_state") or re.search(r"seed_generator_state \(\d+\)$", name) is not None
    )


def is_seed(variable: Any) -> bool:
    """Whether a variable is the state of a seed generator."""
    return variable.path.endswith("seed_generator_state") and np.issubdtype(
        np.dtype(str(variable.dtype)), np.integer
    )


def renamed(paths: Sequence[str]) -> list[str]:
    """Paths of variables of one model, with the numbers of its layers beginning anew."""
    numbers = _renumbered(paths)

    def name(path: str) -> str:
        *layers, last = path.split("/")
        return "/".join([*(numbers.get(layer, layer) for layer in layers), last])

    return [name(path) for path in paths]


def _renumbered(paths: Sequence[str]) -> dict[str, str]:
    """New names for layers that Keras numbered: `dense_7` and `dense_8` become `dense` and `dense_1`.

    Keras numbers the layers of a process, so that the same model has other names when it is built again.
    """
    layers = dict.fromkeys(part for path in paths for part in path.split("/")[:-1])
    numbered: dict[str, dict[str, int]] = {}
    for layer in layers:
        if (match := re.fullmatch(r"(.+)_(\d+)", layer)) is not None:
            numbered.setdefault(match[1], {})[layer] = int(match[2])
    renamed: dict[str, str] = {}
    for kind, numbers in numbered.items():
        first = min(numbers.values())
        if kind not in layers and first:
            for layer, number in numbers.items():
                renamed[layer] = kind if number == first else f"{kind}_{number - first}"
    return renamed


def _unique(named: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    seen: dict[str, int] = {}
    result = []
    for name, variable in named:
        seen[name] = seen.get(name, 0) + 1
        result.append((name if seen[name] == 1 else f"{name} ({seen[name]})", variable))
    return result
