"""Turns what happens at the seams in one step into the records of its stages."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from kerasx.parity.names import Names
from kerasx.parity.records import Role, StepTrace
from kerasx.parity.seen import Forward, Seen
from kerasx.parity.stages import (
    write_data,
    write_forward,
    write_gradients,
    write_loss,
    write_metrics,
    write_updates,
)
from kerasx.parity.state import (
    COUNT_OF_BATCHES,
    ITERATION,
    FullState,
    accumulates,
    is_rate,
    is_seed,
    named_variables,
    read_state,
    set_state,
)
from kerasx.parity.writing import (
    as_it_is,
    change,
    dense,
    is_number,
    is_variable,
    leaves,
    unit,
    write_logs,
)
from kerasx.training.loop import reported_logs


class StepRecorder:
    """Observes the steps of one model, see `seams.Observer`, and writes them down one by one.

    Args:
        model: Whose variables the records name; see `Names` for what else a step trains, a clone say.
        names: What its variables are called; None for its own names of them.

    Attributes:
        on_applied: Called when an optimizer has applied gradients.
    """

    def __init__(self, model: keras.Model, names: Sequence[str] = ()) -> None:
        self._model = model
        self._given = names
        self._names = Names(model, names)
        self._seen = Seen()
        self._before: FullState | None = None
        self._optimizers: list[Any] = []
        self.on_applied: Callable[[], None] = lambda: None

    def begin(self, before: FullState) -> None:
        """Begin a step.

        Args:
            before: The state that it starts from.
        """
        self._seen = Seen()
        self._names.begin()
        self._before = before

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """What is done within belongs to no step."""
        seen, self._seen = self._seen, Seen()
        try:
            yield
        finally:
            self._seen = seen

    def read(self) -> FullState:
        """The state as it is now."""
        return read_state(self._model, self.optimizer, self._given)

    def set(self, state: FullState) -> None:
        """Set it."""
        set_state(self._model, state, self.optimizer, self._given)

    @property
    def saw_training(self) -> bool:
        """Whether gradients were taken or applied since the step began."""
        return bool(self._seen.taken or self._seen.received)

    @property
    def optimizer(self) -> Any:
        """What trains the model: the one optimizer that has applied gradients so far, or else its own.

        Of several that take turns, as where each epoch makes one, the last.
        """
        own = self._model.optimizer
        if len(self._optimizers) != 1 and not self.brings_optimizer:
            return own
        return own if self._optimizers[-1] is getattr(own, "inner_optimizer", None) else self._optimizers[-1]

    @property
    def brings_optimizer(self) -> bool:
        """Whether it is by others than the model's optimizer that all gradients so far were applied."""
        own = self._model.optimizer
        known = (own, getattr(own, "inner_optimizer", None))
        return bool(self._optimizers) and not any(
            each is other for each in self._optimizers for other in known
        )

    @property
    def inputs(self) -> list[Any]:
        """What each forward pass since the step began was given."""
        return [each.inputs for each in self._seen.forwards if each.inputs is not None]

    # --- What the seams tell ----------------------------------------------------------------------------

    def called_layer(
        self, layer: Any, arguments: tuple[Any, ...], options: dict[str, Any], outputs: Any
    ) -> None:
        """Of forward passes, the model's and those of single layers."""
        if any(isinstance(leaf, keras.KerasTensor) for leaf in leaves(outputs)):
            return  # a model is being made
        named = [value for name, value in options.items() if name not in ("training", "mask")]
        inputs = next(iter([*arguments, *named]), None)
        # Positions after the first are the layer's own; `training` is passed by name.
        training = options.get("training")
        follows = bool(self._seen.taken), bool(self._seen.applies)
        self._seen.forwards.append(Forward(layer, inputs, training, outputs, *follows))
        if layer is self._model:
            self._seen.order.append(f"forward {training}")

    def computed_loss(self, arguments: dict[str, Any], loss: Any) -> None:
        """Of the model's own loss."""
        self._seen.computed.append((arguments, loss))
        added = [each for each in self._model.losses if is_number(each)]
        if added:
            self._seen.added = dense(tf.add_n([tf.cast(each, "float32") for each in added]))

    def called_loss(self, criterion: Any, y_true: Any, y_pred: Any, loss: Any) -> None:
        """Of what losses are made of."""
        self._seen.called.append((criterion, y_pred, loss))

    def scaled_loss(self, loss: Any, scaled: Any) -> None:
        """What a scaled loss was before."""
        if scaled is not loss:
            self._seen.scaled.append((loss, scaled))

    def took_gradient(self, target: Any, sources: Any, gradients: Any) -> None:
        """Gradients as a tape gave them; those by inputs alone are not for training."""
        pairs = list(zip(leaves(sources), leaves(gradients), strict=False))
        of_variables = [(source, gradient) for source, gradient in pairs if is_variable(source)]
        names = self._names.of([source for source, _ in of_variables])
        named = [(name, gradient) for name, (_, gradient) in zip(names, of_variables, strict=True)]
        trained = self._model.trainable_variables
        if not named and [each.shape for each, _ in pairs] == [tuple(each.shape) for each in trained]:
            # Values of the variables, as `stateless_call` takes them.
            names = self._names.of(trained)
            named = [(name, gradient) for name, (_, gradient) in zip(names, pairs, strict=True)]
        if not named:
            return
        for each in leaves(target):
            if not any(each is known for known in self._seen.targets):
                self._seen.targets.append(each)
        self._seen.order.append("gradient")
        for name, gradient in named:
            self._seen.taken.setdefault(name, []).append(as_it_is(gradient))

    def begins_apply(self, optimizer: Any, gradients: list[Any], variables: list[Any]) -> None:
        """Gradients as an optimizer receives them."""
        if not any(optimizer is known for known in self._seen.optimizers):
            self._seen.optimizers.append(optimizer)
        if not any(optimizer is known for known in self._optimizers):
            self._optimizers.append(optimizer)
        self._seen.order.append("apply")
        names = self._names.of(variables)
        self._seen.applies.append(names)
        for gradient, name in zip(gradients, names, strict=False):
            self._seen.received.setdefault(name, []).append(as_it_is(gradient))

    def applied(self, optimizer: Any) -> None:
        """What it changed is seen in the state."""
        self.on_applied()

    def updated_metric(self, metric: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        """What metrics are given."""
        self._seen.metrics.append((metric, arguments, options))

    # --- Records ----------------------------------------------------------------------------------------

    def write(self, trace: StepTrace, logs: Mapping[str, Any] | None, after: FullState) -> None:
        """Write the step down that ends now.

        Args:
            trace: Where to.
            logs: What the step returned; None where that cannot be seen.
            after: The state that it left.
        """
        seen = self._seen
        write_data(trace, seen, self._model)
        if seen.taken or seen.received:
            trained = self._names.trained(seen.taken or seen.received)
            trace.add("initial-state", "trained variables", ", ".join(sorted(trained)))
        write_forward(trace, seen, self._model)
        write_loss(trace, seen)
        write_gradients(trace, seen)
        write_updates(trace, seen)
        self._write_state(trace, after)
        write_metrics(trace, seen)
        if logs is not None:
            prefix = "val_" if trace.kind == "evaluation" else ""
            write_logs(trace, "reported", reported_logs(self._model, logs), prefix)
            # Batch callbacks see these; what is reported of them, as Keras does it, is written above.
            write_logs(trace, "returned", logs, prefix, "tells")
        self._seen = Seen()

    def _write_state(self, trace: StepTrace, after: FullState) -> None:
        before = self._before
        assert before is not None
        trained = {id(variable) for variable in self._model.trainable_variables}
        named = named_variables(self._model, self._given)
        slots = list(zip(after.names[after.own :], after.values[after.own :], strict=True))
        for name, value in slots:
            if is_rate(name):
                trace.add("update", name, value)
        for (name, variable), old, new in zip(named, before.values, after.values[: after.own], strict=False):
            if is_seed(variable):
                trace.add("forward", f"seed {name}", new, "decides")
            else:
                stage = "update" if id(variable) in trained else "state"
                trace.add(stage, f"change of {name}", change(old, new), "decides", unit(new))
        # Those of one that takes turns with others are not what the one before it had.
        role: Role = "tells" if self.brings_optimizer and len(self._optimizers) > 1 else "decides"
        # Two that accumulate count alike; one that does counts batches where the other one counts updates.
        count = COUNT_OF_BATCHES if accumulates(name for name, _ in slots) else f"slot {ITERATION}"
        for name, value in slots:
            if not is_rate(name):
                trace.add("update", count if name == ITERATION else f"slot {name}", value, role)

    def write_change(self, trace: StepTrace, before: FullState, after: FullState, when: str) -> None:
        """Write down what was changed between steps.

        Args:
            trace: Where to.
            before: The state that the step before left.
            after: The state later.
            when: When it was changed, in words.
        """
        trained = {id(variable) for variable in self._model.trainable_variables}
        named = named_variables(self._model, self._given)
        for (name, variable), old, new in zip(named, before.values, after.values[: after.own], strict=False):
            if keras.backend.is_float_dtype(new.dtype.name):
                stage = "update" if id(variable) in trained else "state"
                changed = change(old, new)
                trace.add(stage, f"change of {name} {when}", changed, "decides", unit(new))
