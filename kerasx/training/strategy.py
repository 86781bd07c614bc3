"""The strategy contract: what every way of training implements and declares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from kerasx.plain import plain_value

if TYPE_CHECKING:
    from kerasx.data.batches import Batches
    from kerasx.training.task import TrainingTask


class StrategyOptions(BaseModel):
    """Base of the options of strategies: unknown ones are refused, docstrings are their help."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class StepOptions(StrategyOptions):
    """Options of a strategy whose step can be named."""

    step: Any = None
    """A function (model, data) that trains on one batch: its import reference or a registered name; else
    the model's own train_step or, where it has none, kerasx's."""
    test_step: Any = None
    """The same for evaluation on one batch."""


@dataclass(frozen=True)
class Capabilities:
    """What a strategy can do; checked before training starts.

    Attributes:
        executions: The executions it offers, its default first.
        jit: Whether it can have its step compiled by XLA.
        distribution: Whether it can train on several devices.
    """

    executions: tuple[str, ...] = ("graph", "eager")
    jit: bool = True
    distribution: bool = True


class StepStrategy(ABC):
    """A way of training: how a step is carried out, and what drives it.

    A strategy trains the model of the task it is given and calls the task's callbacks in Keras's order.
    Those with a loop of their own leave the order to `run_epochs`.

    Args:
        options: An instance of `options_type`.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()
    options_type: ClassVar[type[BaseModel]] = StrategyOptions

    def __init__(self, options: BaseModel | None = None) -> None:
        self.options: Any = options if options is not None else self.options_type()

    def prepare(self, task: TrainingTask, *, trains: bool = True) -> None:  # noqa: B027 - it may do nothing
        """Trace and compile what `train` and `evaluate` will call, before any step is taken.

        Called with executions that a strategy offers, from the one that was chosen to those that stand in
        for it. By itself a strategy has nothing to prepare.

        Args:
            task: As for `train`.
            trains: Whether `train` will be called, or `evaluate` alone.

        Raises:
            CannotExecute: What is called cannot be executed as the task's execution says.
        """

    @abstractmethod
    def train(self, task: TrainingTask) -> dict[str, list[float]]:
        """Train the model of the task from its starting position to its last epoch.

        Returns:
            The history: for each name in the epochs' logs, its values epoch by epoch.
        """

    def evaluate(self, task: TrainingTask, batches: Batches) -> dict[str, Any]:
        """Evaluate the model of the task.

        Args:
            task: The one that was trained, or one made for evaluation alone.
            batches: What to evaluate on.

        Returns:
            The metrics' results by name, `loss` among them.
        """
        logs = task.model.evaluate(batches.dataset, verbose=0, return_dict=True)
        return {name: plain_value(value) for name, value in logs.items()}
