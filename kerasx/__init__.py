"""kerasx: one Keras experiment, trained by interchangeable step strategies.

The names below are the public ones. They are imported when first used, so that `import kerasx` imports
neither TensorFlow nor Keras.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from kerasx.errors import (
    Interrupted,
    KerasxError,
    NonFiniteError,
    PluginError,
    UsageError,
)
from kerasx.hookspecs import hookimpl
from kerasx.specs import (
    CallbackSpec,
    CommandSpec,
    DatasetSpec,
    LossSpec,
    MetricSpec,
    ModelSpec,
    StrategySpec,
)

if TYPE_CHECKING:
    from kerasx.component import Component
    from kerasx.data.arrays import Arrays
    from kerasx.data.batches import Batches
    from kerasx.data.dataset import Dataset
    from kerasx.data.order import batch_order
    from kerasx.data.signature import LabelInfo, Signature, TensorInfo
    from kerasx.digest import weights_digest
    from kerasx.engine import Engine
    from kerasx.experiment import Experiment
    from kerasx.parity.check.result import Check, Checked
    from kerasx.parity.explain.finding import Explanation, Finding
    from kerasx.parity.judge import Difference
    from kerasx.parity.result import Comparison, Pair, Side
    from kerasx.runs.result import DryRun, Run
    from kerasx.training.binding import BoundStep, Call
    from kerasx.training.execution import CannotExecute, Execution
    from kerasx.training.fit import check_fit_calls_functions, run_fit, run_fused_fit
    from kerasx.training.loop import run_batches, run_epochs, run_evaluation
    from kerasx.training.steps import (
        Logs,
        Step,
        own_test_step,
        own_train_step,
        test_step,
        track_loss,
        train_step,
    )
    from kerasx.training.strategy import Capabilities, StepOptions, StepStrategy, StrategyOptions
    from kerasx.training.task import TrainingTask

    __version__: str

__all__ = [
    "Arrays",
    "Batches",
    "BoundStep",
    "Call",
    "CallbackSpec",
    "CannotExecute",
    "Capabilities",
    "Check",
    "Checked",
    "CommandSpec",
    "Comparison",
    "Component",
    "Dataset",
    "DatasetSpec",
    "Difference",
    "DryRun",
    "Engine",
    "Execution",
    "Experiment",
    "Explanation",
    "Finding",
    "Interrupted",
    "KerasxError",
    "LabelInfo",
    "Logs",
    "LossSpec",
    "MetricSpec",
    "ModelSpec",
    "NonFiniteError",
    "Pair",
    "PluginError",
    "Run",
    "Side",
    "Signature",
    "Step",
    "StepOptions",
    "StepStrategy",
    "StrategyOptions",
    "StrategySpec",
    "TensorInfo",
    "TrainingTask",
    "UsageError",
    "batch_order",
    "check_fit_calls_functions",
    "hookimpl",
    "own_test_step",
    "own_train_step",
    "run_batches",
    "run_epochs",
    "run_evaluation",
    "run_fit",
    "run_fused_fit",
    "test_step",
    "track_loss",
    "train_step",
    "weights_digest",
]

_HOMES = {
    "kerasx.data.arrays": ("Arrays",),
    "kerasx.data.dataset": ("Dataset",),
    "kerasx.data.batches": ("Batches",),
    "kerasx.data.order": ("batch_order",),
    "kerasx.data.signature": ("LabelInfo", "Signature", "TensorInfo"),
    "kerasx.digest": ("weights_digest",),
    "kerasx.engine": ("Engine",),
    "kerasx.component": ("Component",),
    "kerasx.experiment": ("Experiment",),
    "kerasx.parity.check.result": ("Check", "Checked"),
    "kerasx.parity.explain.finding": ("Explanation", "Finding"),
    "kerasx.parity.judge": ("Difference",),
    "kerasx.parity.result": ("Comparison", "Pair", "Side"),
    "kerasx.runs.result": ("DryRun", "Run"),
    "kerasx.training.binding": ("BoundStep", "Call"),
    "kerasx.training.execution": ("CannotExecute", "Execution"),
    "kerasx.training.fit": ("check_fit_calls_functions", "run_fit", "run_fused_fit"),
    "kerasx.training.loop": ("run_batches", "run_epochs", "run_evaluation"),
    "kerasx.training.steps": (
        "Logs",
        "Step",
        "own_test_step",
        "own_train_step",
        "test_step",
        "track_loss",
        "train_step",
    ),
    "kerasx.training.strategy": ("Capabilities", "StepOptions", "StepStrategy", "StrategyOptions"),
    "kerasx.training.task": ("TrainingTask",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
# Modules that import Keras, which has to be started quietly and on TensorFlow first.
_NEEDS_TENSORFLOW = ("kerasx.data.arrays", "kerasx.data.batches", "kerasx.data.dataset", "kerasx.training")


def __getattr__(name: str) -> object:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("kerasx")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'kerasx' has no attribute {name!r}")
    home = _HOME_OF[name]
    if home.startswith(_NEEDS_TENSORFLOW) and home != "kerasx.training.strategy":
        importlib.import_module("kerasx.startup").start_tensorflow()
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
