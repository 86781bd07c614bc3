"""All of the state of a training as it is now, as checkpoints keep it, and given back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from kerasx.checkpoint.attributes import Attributes, attributes, give_attributes, held_by
from kerasx.checkpoint.callback_state import (
    callback_state,
    lost_of,
    not_remembered,
    only_filled,
    set_callback_state,
)
from kerasx.checkpoint.folder import Checkpoint
from kerasx.checkpoint.given_back import GivingBack
from kerasx.checkpoint.held import Holding
from kerasx.checkpoint.kinds import as_array
from kerasx.checkpoint.packing import Arrays, packed
from kerasx.checkpoint.randomness import random_state, set_random_state
from kerasx.checkpoint.settings import Settings, change, changed, settings
from kerasx.checkpoint.variables import OwnVariables, by_name, fits, read_variables, set_variables
from kerasx.plain import listed
from kerasx.training.layers import all_layers
from kerasx.training.task import TrainingTask

# What is kept: arrays, and the rest with where they stand in it.
Kept = tuple[Arrays, dict[str, Any]]


class TrainingState:
    """Reads the state of a training, and gives back what was read.

    Args:
        task: What is trained.
        own: Variables beside the model's.
        remembering: Callbacks whose state is part of it, beside Keras's history.
        folder: The run's, to which paths are kept relative.
        seconds_before: Of training, before it was gone on with.
        note: Says what callbacks have come to hold that cannot be kept.
    """

    def __init__(
        self,
        task: TrainingTask,
        own: OwnVariables,
        remembering: Sequence[keras.callbacks.Callback],
        folder: Path,
        *,
        seconds_before: float,
        note: Callable[[str], None],
    ) -> None:
        self._task = task
        self._own = own
        self._remembering = list(remembering)
        self._folder = folder
        self._seconds_before = seconds_before
        self._note = note
        own.hand_over([task.model, task.train_step, task.test_step, task.loop, *remembering])
        # What is said of when the run starts, or need not be.
        self._said = {(id(each), name) for each in remembering for name in not_remembered(each)}
        self._begun = time.monotonic()
        self._settings: Settings = []

    def begin(self, model: keras.Model, callbacks: list[keras.callbacks.Callback]) -> None:
        """Training begins, with these callbacks in all."""
        self._begun = time.monotonic()
        self._remembering += [each for each in callbacks if isinstance(each, keras.callbacks.History)]
        self._said.update((id(each), name) for each in self._remembering for name in only_filled(each))
        if self._is_eager:
            self._settings = settings(model)
            held = held_by(model)
            self._said.update((id(model), name) for name in (*held.lost, *held.only_filled))

    def read(self) -> Kept:
        """A copy of all of it."""
        model, position = self._task.model, self._task.position
        arrays: Arrays = {}
        names = {id(each): name for name, each in self._by_name().items()}
        logs = {name: as_array(value) for name, value in position.logs.items()}
        state = {
            "epoch": position.epoch,
            "step": position.step,
            "begun": position.begun,
            "logs": packed(logs, "logs", arrays),
            "stopped": bool(model.stop_training),
            "seconds": self._seconds_before + time.monotonic() - self._begun,
            "variables": read_variables(model, self._own, arrays),
            "random": random_state(arrays),
            "settings": changed(self._settings, settings(model)) if self._is_eager else [],
            "attributes": self._attributes(arrays, names) if self._is_eager else [],
            "callbacks": self._callback_states(arrays, names),
        }
        return arrays, state

    def fits(self, kept: Kept) -> bool:
        """Whether there are the variables of which values were copied."""
        return fits(self._task.model, self._own, kept[1]["variables"])

    def variables(self) -> Arrays:
        """Copies of all variables."""
        arrays: Arrays = {}
        read_variables(self._task.model, self._own, arrays)
        return arrays

    def set_variables(self, arrays: Arrays) -> None:
        """Give variables the values of copies."""
        set_variables(self._task.model, self._own, list(arrays), arrays)

    def set_values(self, kept: Kept) -> None:
        """Give back values, random streams and attributes of the model: all but what callbacks hold."""
        model, (arrays, state) = self._task.model, kept
        set_variables(model, self._own, state["variables"], arrays)
        set_random_state(state["random"], arrays)
        if self._is_eager:
            # Steps that are undone may have changed some.
            change(model, changed([{} for _ in self._settings], self._settings))
            change(model, state.get("settings", []))
            with self._own.paused():
                give_attributes(model, state.get("attributes", []), GivingBack(arrays, self._by_name()))

    def restore(self, checkpoint: Checkpoint) -> None:
        """Give all of it back; what only a first step makes is made by one that is undone."""
        model, kept = self._task.model, (checkpoint.arrays, checkpoint.state)
        if model.optimizer is not None and not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        if not self.fits(kept):
            self._own.let_go()
        if not self.fits(kept):
            self._task.try_step()
            self._own.let_go()
        self.set_values(kept)
        self.restore_callbacks(checkpoint, keras.callbacks.Callback)

    def restore_callbacks(self, checkpoint: Checkpoint, kind: type) -> None:
        """Give callbacks of a kind what they held."""
        states = checkpoint.state["callbacks"]
        variables = self._by_name()
        with self._own.paused():
            for callback, state in zip(self._remembering, states, strict=True):
                if isinstance(callback, kind):
                    giving = GivingBack(checkpoint.arrays, variables)
                    set_callback_state(callback, state, giving, checkpoint.arrays)

    def _by_name(self) -> dict[str, Any]:
        """All variables and layers, as what holds one of them names it."""
        layers = {f"layer.{place}": each for place, each in enumerate(all_layers(self._task.model))}
        return {**by_name(self._task.model, self._own), **layers}

    @property
    def _is_eager(self) -> bool:
        """A graph has attributes in it as they were when it was traced, whatever they are now."""
        return self._task.execution.mode == "eager"

    def _attributes(self, arrays: Arrays, names: Mapping[int, str]) -> Attributes:
        model = self._task.model
        holding = Holding(arrays, names, self._folder)
        kept = attributes(model, holding)
        self._say_lost(
            model,
            f"the model `{model.name}`",
            [*holding.lost, *holding.only_filled],
            "its code makes it; a variable would be kept",
        )
        return kept

    def _callback_states(self, arrays: Arrays, names: Mapping[int, str]) -> list[dict[str, Any]]:
        states = []
        for place, callback in enumerate(self._remembering):
            holding = Holding(arrays, names, self._folder)
            states.append(callback_state(callback, f"callback.{place}", holding))
            self._say_lost(
                callback,
                f"the callback {type(callback).__name__}",
                lost_of(callback, [*holding.lost, *holding.only_filled]),
                "the callback makes it; give it get_state and set_state",
            )
        return states

    def _say_lost(self, holder: Any, called: str, lost: list[str], advice: str) -> None:
        """Say once what something has come to hold that no checkpoint keeps."""
        new = [each for each in dict.fromkeys(lost) if (id(holder), each) not in self._said]
        if not new:
            return
        self._said.update((id(holder), each) for each in new)
        self._note(
            f"{called} has come to hold {listed(new)}, which no checkpoint can"
            f" keep: a run that is gone on with has it as {advice}"
        )
